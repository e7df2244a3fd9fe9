//! From a FIFO to a reader, through real files and threads.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test looks at files from outside"
)]

mod support;

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logboom_core::clock::Clock;
use logboom_core::disk::SystemDisk;
use logboom_core::store::{Store, StoreLimits};
use logboom_core::stream::{CutWhen, Limits, Progress, Query, Tools};
use logboom_core::sync_log::SyncWhen;
use support::{Host, Line, decode_frames, frame, line, list, read_to_end, wait_readable};

fn many(count: usize) -> Vec<Line> {
    (0..count)
        .map(|index| {
            line(
                1_000_000 + i64::try_from(index).unwrap(),
                format!("line {index} of a container that prints"),
            )
        })
        .collect()
}

fn is_cut(folder: &Path) -> bool {
    let names = list(folder);
    !names.is_empty()
        && names.iter().all(|name| !name.ends_with(".journal"))
        && names.iter().any(|name| name.ends_with(".zst"))
}

#[test]
fn what_was_written_is_read_at_once() {
    let mut host = Host::new();
    let mut container = host.run("web");
    let lines = many(100);
    container.print(&lines);
    assert!(host.read_all("web") == lines);
}

#[test]
fn a_stopped_container_is_one_text_file_for_zstdcat() {
    let mut host = Host::new();
    let mut container = host.run("web");
    let lines = many(50_000);
    container.print(&lines);
    assert!(host.stop(&mut container));
    host.wait_until(is_cut, "web");
    let text: Vec<u8> = lines
        .iter()
        .flat_map(|line| [line.text.as_slice(), b"\n"].concat())
        .collect();
    let segments: Vec<_> = list(&host.stream_folder("web"))
        .into_iter()
        .filter(|name| name.ends_with(".zst"))
        .collect();
    let shown = Command::new("zstdcat")
        .args(&segments)
        .current_dir(host.stream_folder("web"))
        .output()
        .unwrap();
    assert!(
        shown.stdout == text,
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );
    assert!(host.read_all("web") == lines);
}

#[test]
fn a_new_worker_goes_on_where_the_old_one_stopped() {
    let mut host = Host::new();
    let mut container = host.run("web");
    let lines = many(30_000);
    container.print(&lines[..10_000]);
    assert_eq!(host.read_all("web").len(), 10_000);
    host.restart();
    container.print(&lines[10_000..]);
    assert!(host.read_all("web") == lines);
    host.stop(&mut container);
    host.wait_until(is_cut, "web");
    assert!(host.read_all("web") == lines);
}

#[test]
fn tail_since_and_until_give_what_moby_expects() {
    let mut host = Host::new();
    let mut container = host.run("web");
    // The last entry is older: somebody set the clock back.
    let times = [10, 20, 30, 40, 50, 5];
    let lines: Vec<Line> = times
        .iter()
        .map(|&time| line(time, format!("at {time}")))
        .collect();
    container.print(&lines);
    let pick = |query: Query| -> Vec<i64> {
        host.read("web", &query)
            .iter()
            .map(|line| line.time_ns)
            .collect()
    };
    let query = Query::default();
    assert_eq!(
        pick(Query {
            tail: Some(2),
            ..query
        }),
        [50, 5]
    );
    assert_eq!(
        pick(Query {
            tail: Some(0),
            ..query
        }),
        [0; 0]
    );
    assert_eq!(
        pick(Query {
            tail: Some(100),
            ..query
        }),
        times
    );
    assert_eq!(
        pick(Query {
            since_ns: Some(40),
            ..query
        }),
        [40, 50, 5]
    );
    assert_eq!(
        pick(Query {
            since_ns: Some(40),
            tail: Some(1),
            ..query
        }),
        [0; 0]
    );
    assert_eq!(
        pick(Query {
            since_ns: Some(20),
            tail: Some(3),
            ..query
        }),
        [40, 50, 5]
    );
    assert_eq!(
        pick(Query {
            until_ns: Some(30),
            ..query
        }),
        [10, 20, 30]
    );
    assert_eq!(
        pick(Query {
            since_ns: Some(20),
            until_ns: Some(40),
            ..query
        }),
        [20, 30, 40]
    );
}

#[test]
fn tail_and_since_find_their_place_across_blocks_and_segments() {
    let mut host = Host::new();
    let limits = Limits {
        segment_bytes: 20_000,
        ..Host::limits()
    };
    let mut container = host.run_with("web", limits);
    let lines = many(200_000);
    container.print(&lines);
    let total = lines.len();
    for round in 0..2 {
        for tail in [1, 10, 5_000, 20_000, 123_456, total] {
            let found = host.read(
                "web",
                &Query {
                    tail: Some(tail as u64),
                    ..Query::default()
                },
            );
            assert_eq!(found, lines[total - tail..], "tail {tail}, round {round}");
            let since_ns = Some(lines[total - tail].time_ns);
            let found = host.read(
                "web",
                &Query {
                    since_ns,
                    ..Query::default()
                },
            );
            assert_eq!(
                found,
                lines[total - tail..],
                "since {since_ns:?}, round {round}"
            );
        }
        if round == 0 {
            host.stop(&mut container);
            host.wait_until(is_cut, "web");
            host.restart();
        }
    }
    assert!(
        list(&host.stream_folder("web"))
            .iter()
            .filter(|name| name.ends_with(".zst"))
            .count()
            > 3
    );
}

#[test]
fn a_follower_gets_everything_and_ends_with_its_session() {
    let mut host = Host::new();
    let mut container = host.run("web");
    let lines = many(40_000);
    container.print(&lines[..10]);
    let mut replay = host.follow("web");
    let follower = std::thread::spawn(move || {
        let mut frames = Vec::new();
        loop {
            match replay.next_frames(1 << 16, &mut frames) {
                Progress::More => {}
                Progress::Wait => wait_readable(&replay),
                Progress::End => return decode_frames(&frames),
            }
        }
    });
    container.print(&lines[10..]);
    host.stop(&mut container);
    assert_eq!(follower.join().unwrap(), lines);
}

fn with_ended(lines: &[Line]) -> Host {
    let mut host = Host::new();
    let mut container = host.run("web");
    container.print(lines);
    host.stop(&mut container);
    host
}

/// Takes chunks apart (RFC 9112, section 7.1).
fn unchunk(mut answer: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    while !answer.is_empty() {
        let head = answer.windows(2).position(|two| two == b"\r\n").unwrap();
        let digits = std::str::from_utf8(&answer[..head]).unwrap();
        let length = usize::from_str_radix(digits, 16).unwrap();
        // The chunk of length 0 would end the answer, which is not the reader's to end.
        assert_ne!(length, 0);
        let (chunk, rest) = answer[head + 2..].split_at(length);
        frames.extend_from_slice(chunk);
        answer = rest.strip_prefix(b"\r\n").unwrap();
    }
    frames
}

#[test]
fn frames_go_into_a_socket_as_chunks_however_slowly_it_is_read() {
    let lines = many(40_000);
    let host = with_ended(&lines);
    let mut replay = host.core().read("web", &Query::default()).unwrap();
    let (mut reading, writing) = UnixStream::pair().unwrap();
    reading.set_nonblocking(true).unwrap();
    let mut answer = Vec::new();
    let (mut byte_count, mut entry_count, mut full_count) = (0, 0, 0);
    loop {
        let Some(sent) = replay.send_frames(1 << 20, writing.as_fd()).unwrap() else {
            full_count += 1;
            let mut piece = [0; 10_000];
            let length = reading.read(&mut piece).unwrap();
            answer.extend_from_slice(&piece[..length]);
            continue;
        };
        byte_count += sent.byte_count;
        entry_count += sent.entry_count;
        if sent.progress == Progress::End {
            break;
        }
    }
    drop(writing);
    reading.set_nonblocking(false).unwrap();
    reading.read_to_end(&mut answer).unwrap();
    let frames = unchunk(&answer);
    assert!(full_count > 0);
    assert_eq!(byte_count, frames.len());
    assert_eq!(entry_count, 40_000);
    assert!(decode_frames(&frames) == lines);
}

#[test]
fn one_call_sends_all_that_is_asked_for_in_several_chunks() {
    let lines = many(40_000);
    let host = with_ended(&lines);
    let mut replay = host.core().read("web", &Query::default()).unwrap();
    let (mut reading, writing) = UnixStream::pair().unwrap();
    let taking = std::thread::spawn(move || {
        let mut answer = Vec::new();
        reading.read_to_end(&mut answer).map(|_| answer)
    });
    let sent = loop {
        if let Some(sent) = replay.send_frames(usize::MAX, writing.as_fd()).unwrap() {
            break sent;
        }
    };
    drop(writing);
    let answer = taking.join().unwrap().unwrap();
    let frames = unchunk(&answer);
    assert_eq!((sent.progress, sent.entry_count), (Progress::End, 40_000));
    assert_eq!(sent.byte_count, frames.len());
    assert!(decode_frames(&frames) == lines);
    let first_chunk = std::str::from_utf8(&answer[..8]).unwrap();
    assert!(usize::from_str_radix(first_chunk, 16).unwrap() < frames.len());
}

#[test]
fn a_socket_whose_other_side_has_gone_is_an_error() {
    let mut host = Host::new();
    let mut container = host.run("web");
    container.print(&many(10));
    let mut replay = host.core().read("web", &Query::default()).unwrap();
    let (reading, writing) = UnixStream::pair().unwrap();
    drop(reading);
    let error = replay.send_frames(1 << 20, writing.as_fd()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn a_follower_that_has_all_sends_no_chunk() {
    let mut host = Host::new();
    let mut container = host.run("web");
    container.print(&many(1));
    let mut replay = host.follow("web");
    let (mut reading, writing) = UnixStream::pair().unwrap();
    let first = replay.send_frames(1 << 20, writing.as_fd()).unwrap();
    let second = replay.send_frames(1 << 20, writing.as_fd()).unwrap();
    assert_eq!(first.map(|sent| sent.entry_count), Some(1));
    assert_eq!(
        second.map(|sent| (sent.progress, sent.byte_count)),
        Some((Progress::Wait, 0))
    );
    drop(writing);
    let mut answer = Vec::new();
    reading.read_to_end(&mut answer).unwrap();
    assert_eq!(decode_frames(&unchunk(&answer)), many(1));
}

#[test]
fn a_container_that_never_printed_leaves_no_trace() {
    let mut host = Host::new();
    let mut container = host.run("web");
    assert_eq!(host.read_all("web"), []);
    assert!(host.stop(&mut container));
    let records = host.folder.path().join("run/docker/logboom");
    host.wait_until(|_| list(&records).is_empty(), "web");
    assert!(!host.stream_folder("web").exists());
}

#[test]
fn damaged_bytes_become_one_entry_and_what_follows_is_found() {
    let mut host = Host::new();
    let mut container = host.run("web");
    let lines = many(4);
    container.print(&lines[..2]);
    container.write(&[0xff; 300]);
    container.print(&lines[2..]);
    let found = host.read_all("web");
    assert_eq!(found.len(), 5);
    assert_eq!(found[..2], lines[..2]);
    assert_eq!(found[3..], lines[2..]);
    assert_eq!(found[2].source, "stderr");
    host.stop(&mut container);
    host.wait_until(is_cut, "web");
    assert_eq!(host.read_all("web"), found);
    let folder = host.stream_folder("web");
    let kept = list(&folder)
        .into_iter()
        .find(|name| name.ends_with(".damaged"))
        .unwrap();
    assert_eq!(std::fs::read(folder.join(&kept)).unwrap(), [0xff; 300]);
    assert!(String::from_utf8_lossy(&found[2].text).contains(&kept));
    let mode = std::fs::metadata(folder.join(&kept)).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Counted behind the files.
    host.wait_until(|_| host.counted("damaged_bytes_total") == 300, "web");
    assert_eq!(host.counted("damaged_runs_total"), 1);
}

#[test]
fn damage_counts_as_part_of_its_stream_and_goes_with_it() {
    let mut host = Host::new();
    host.core().set_store_limits(StoreLimits::default());
    let mut container = host.run("web");
    container.write(&vec![0xff; 30_000]);
    host.stop(&mut container);
    // The damage itself is in the file, and only a line about it in the segment.
    host.wait_until(|_| host.counted("store_bytes") > 30_000, "web");
    host.core().set_store_limits(StoreLimits {
        max_bytes: Some(1_000),
        ..StoreLimits::default()
    });
    host.wait_until(|folder| !folder.exists(), "web");
}

#[test]
fn torn_ends_of_many_sessions_do_not_pile_up() {
    let mut host = Host::new();
    for _ in 0..70 {
        let mut container = host.run("web");
        container.write(&[0xff; 10]);
        host.stop(&mut container);
    }
    let is_trimmed = |folder: &Path| {
        let names = list(folder);
        let kept = names.iter().filter(|name| name.ends_with(".damaged"));
        is_cut(folder) && kept.count() == 64
    };
    host.wait_until(is_trimmed, "web");
}

/// Whoever asked waited for ever.
#[test]
fn a_core_that_is_closed_says_so() {
    let mut host = Host::new();
    let container = host.run("web");
    let core = host.core();
    core.close();
    let answers = [
        core.stop_session(&container.file).map(drop),
        core.drain(),
        core.read("web", &Query::default()).map(drop),
        core.remove("web").map(drop),
    ];
    for answer in answers {
        assert_eq!(answer.unwrap_err().to_string(), "the store is closed");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_said() {
    let mut host = Host::new();
    let _container = host.run("web");
    host.core = None;
    let records = host.folder.path().join("run/docker/logboom");
    let name = &list(&records)[0];
    std::fs::write(records.join(name), "{").unwrap();
    host.start();
    assert!(host.core().fault().unwrap().contains(name));
}

#[test]
fn two_sessions_of_one_container_keep_all_entries_of_both() {
    let mut host = Host::new();
    let mut first = host.run("web");
    let mut second = host.run("web");
    let lines = many(2_000);
    let long = frame(&line(7, vec![b'x'; 9_000]));
    for (index, pair) in lines.chunks(2).enumerate() {
        first.print(&pair[..1]);
        second.print(&pair[1..]);
        if index == 500 {
            // A frame that is torn while the other session prints.
            first.write(&long[..5_000]);
            assert_eq!(host.read_all("web").len(), 1_002);
            second.print(&[line(8, "between")]);
            assert_eq!(host.read_all("web").len(), 1_003);
            first.write(&long[5_000..]);
        }
    }
    let found = host.read_all("web");
    assert_eq!(found.len(), 2_002);
    for half in 0..2 {
        let printed: Vec<_> = lines.iter().skip(half).step_by(2).collect();
        let kept: Vec<_> = found
            .iter()
            .filter(|entry| {
                printed
                    .binary_search_by_key(&entry.time_ns, |line| line.time_ns)
                    .is_ok()
            })
            .collect();
        assert_eq!(kept, printed);
    }
    host.stop(&mut first);
    host.stop(&mut second);
    host.wait_until(is_cut, "web");
    assert_eq!(host.read_all("web"), found);
    host.restart();
    assert_eq!(host.read_all("web"), found);
}

#[test]
fn containers_that_live_for_a_moment_do_not_use_up_the_open_files() {
    // Each kept its segment open for a minute.
    const FORGET_ABOVE: usize = 500;
    let mut host = Host::new();
    for number in 0..FORGET_ABOVE + 20 {
        let id = format!("brief-{number}");
        let mut container = host.run(&id);
        container.print(&many(1));
        host.stop(&mut container);
    }
    let data = host.data();
    let is_ours = |file: &String| {
        let target = std::fs::read_link(Path::new("/proc/self/fd").join(file));
        target.is_ok_and(|target| target.starts_with(&data))
    };
    let open_count = || {
        let files = list(Path::new("/proc/self/fd"));
        files.into_iter().filter(is_ours).count()
    };
    // Much less than the minute after which all that nobody uses is closed.
    let deadline = Instant::now() + Duration::from_secs(20);
    while open_count() >= 50 {
        assert!(Instant::now() < deadline, "{} are open", open_count());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(host.read_all("brief-0"), many(1));
}

#[test]
fn an_abandoned_fifo_is_emptied_and_removed() {
    let mut host = Host::new();
    let mut container = host.run("web");
    let lines = many(10);
    container.print(&lines);
    container.abandon();
    host.wait_until(is_cut, "web");
    assert!(host.read_all("web") == lines);
    let fifo = host
        .folder
        .path()
        .join(container.file.trim_start_matches('/'));
    host.wait_until(|_| !fifo.exists(), "web");
    assert!(!host.stop(&mut container));
}

#[test]
fn a_fifo_that_was_abandoned_while_no_worker_ran_is_removed() {
    let mut host = Host::new();
    let mut container = host.run("web");
    let lines = many(10);
    container.print(&lines);
    assert_eq!(host.read_all("web"), lines);
    host.core = None;
    container.abandon();
    host.start();
    let fifo = host
        .folder
        .path()
        .join(container.file.trim_start_matches('/'));
    host.wait_until(|_| !fifo.exists(), "web");
    host.wait_until(is_cut, "web");
    assert_eq!(host.read_all("web"), lines);
}

#[test]
fn entries_behind_a_very_long_one_are_seen_at_once() {
    // Once a frame was longer than a chunk, nothing was published before as many bytes had come again.
    let mut host = Host::new();
    let mut container = host.run("web");
    let lines = [line(1, vec![b'x'; 900_000]), line(2, "short")];
    for part in lines
        .iter()
        .flat_map(frame)
        .collect::<Vec<u8>>()
        .chunks(30_000)
    {
        container.write(part);
        host.read_all("web");
    }
    assert!(host.read_all("web") == lines);
    container.print(&lines[1..]);
    assert_eq!(host.read_all("web").len(), 3);
}

#[test]
fn a_reader_that_stands_still_sees_what_it_was_promised() {
    let mut host = Host::new();
    let mut container = host.run_with(
        "web",
        Limits {
            segment_bytes: 100_000,
            ..Host::limits()
        },
    );
    let lines = many(60_000);
    container.print(&lines[..50_000]);
    let mut replay = host.core().read("web", &Query::default()).unwrap();
    container.print(&lines[50_000..]);
    host.stop(&mut container);
    host.wait_until(is_cut, "web");
    assert_eq!(read_to_end(&mut replay), lines[..50_000]);
}

#[test]
fn the_oldest_segments_go_when_the_stream_is_too_large() {
    let mut host = Host::new();
    let limits = Limits {
        segment_bytes: 65_536,
        stream_bytes: Some(15 * 65_536),
        ..Host::limits()
    };
    let mut container = host.run_with("web", limits);
    // Lines that hardly compress: several times what the stream may keep.
    let mut random = 88_172_645_463_325_252_u64;
    let lines: Vec<Line> = (0..200_000)
        .map(|time_ns| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            line(
                1_000_000 + time_ns,
                format!("{random:016x}{:016x}", random.rotate_left(23)),
            )
        })
        .collect();
    container.print(&lines);
    host.stop(&mut container);
    let bytes = |folder: &Path| -> u64 {
        list(folder)
            .iter()
            .filter_map(|name| folder.join(name).metadata().ok())
            .map(|file| file.len())
            .sum()
    };
    host.wait_until(|folder| is_cut(folder) && bytes(folder) <= 1_010_000, "web");
    let found = host.read_all("web");
    assert!(found.len() < lines.len());
    assert!(
        found.len() > lines.len() / 20,
        "more went than had to: {}",
        found.len()
    );
    assert!(found == lines[lines.len() - found.len()..]);
}

#[test]
fn a_text_that_is_not_compressed_fills_no_segment_many_times_over() {
    let mut host = Host::new();
    let limits = Limits {
        segment_bytes: 65_536,
        stream_bytes: Some(3 * 65_536),
        compress: false,
        ..Host::limits()
    };
    let mut container = host.run_with("web", limits);
    let lines: Vec<Line> = (0..8_000)
        .map(|time_ns| line(time_ns, [b'x'; 100]))
        .collect();
    container.print(&lines);
    host.stop(&mut container);
    host.wait_until(is_cut, "web");
    host.wait_until(|_| host.read_all("web").len() <= 2_000, "web");
    let found = host.read_all("web");
    assert!(
        found.len() > 1_000,
        "more went than had to: {}",
        found.len()
    );
    assert!(found == lines[lines.len() - found.len()..]);
}

#[test]
fn a_stream_that_age_has_emptied_goes_and_its_numbers_do_not_come_again() {
    let mut host = Host::new();
    let limits = Limits {
        max_age_s: Some(3_600),
        ..Host::limits()
    };
    let mut container = host.run_with("web", limits);
    let newest_ns = Clock::System.now_ns();
    let lines: Vec<Line> = (0..1_000)
        .map(|index| line(newest_ns - 999 + index, "old"))
        .collect();
    container.print(&lines);
    host.stop(&mut container);
    host.wait_until(is_cut, "web");
    host.core = None;

    let store = Store::new(
        host.data(),
        Arc::new(SystemDisk),
        [7; 16],
        SyncWhen::default(),
    );
    let stream = store.stream("web").unwrap();
    for (age_s, is_left) in [(3_600, true), (3_601, false)] {
        stream
            .cut(
                CutWhen::Full,
                newest_ns + age_s * 1_000_000_000,
                &mut Tools::default(),
            )
            .unwrap();
        store.remove_empty(&stream).unwrap();
        assert_eq!(host.stream_folder("web").exists(), is_left, "{age_s} s");
    }
    store.close();

    host.start();
    let mut container = host.run("web");
    container.print(&many(1));
    host.stop(&mut container);
    host.wait_until(is_cut, "web");
    assert!(list(&host.stream_folder("web")).contains(&format!("{:020}.zst", 1_000)));
}

#[test]
fn a_store_that_refuses_costs_entries_that_are_counted_and_named() {
    let mut host = Host::new();
    host.core = None;
    // A file stands where the store keeps its streams.
    let in_the_way = host.data().join("containers");
    std::fs::remove_dir(&in_the_way).unwrap();
    std::fs::write(&in_the_way, "").unwrap();
    host.start();
    let mut container = host.run("web");
    let lines = many(100);
    container.print(&lines[..60]);
    host.wait_until(|_| host.counted("dropped_entries_total") == 60, "web");
    assert!(host.core().read("web", &Query::default()).is_err());
    std::fs::remove_file(&in_the_way).unwrap();
    host.wait_until(Path::exists, "web");
    container.print(&lines[60..]);
    let found = host.read_all("web");
    assert_eq!(found[1..], lines[60..]);
    let notice = String::from_utf8_lossy(&found[0].text);
    assert!(notice.starts_with("logboom: 60 entries "), "{notice}");
}

#[test]
fn after_a_power_cut_what_the_sync_log_holds_is_there_and_nothing_is_read_wrong() {
    let mut host = Host::new();
    let mut container = host.run("web");
    let lines = many(1_000);
    container.print(&lines[..700]);
    assert_eq!(host.read_all("web").len(), 700);
    let sync = host.data().join("sync");
    let logged = || -> u64 {
        list(&sync)
            .iter()
            .map(|name| sync.join(name).metadata().unwrap().len())
            .sum()
    };
    host.wait_until(|_| logged() > 700 * 40, "web");
    let is_settled = logged();
    let last_shown = 700;
    // What the disk holds at the cut: the journal file with its size, but with zeros in place of pages.
    let folder = host.stream_folder("web");
    let copy = host.folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for name in list(&sync) {
        std::fs::copy(sync.join(&name), copy.join(&name)).unwrap();
    }
    assert_eq!(logged(), is_settled);
    let journal = list(&folder)
        .into_iter()
        .find(|name| name.ends_with(".journal"))
        .unwrap();
    let journal_bytes = std::fs::read(folder.join(&journal)).unwrap();
    container.abandon();
    host.core = None;
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let mut torn = journal_bytes[..4096].to_vec();
    torn.resize(journal_bytes.len(), 0);
    other_boot(&mut torn, 56);
    std::fs::write(folder.join(&journal), torn).unwrap();
    std::fs::create_dir_all(&sync).unwrap();
    for name in list(&copy) {
        let mut log = std::fs::read(copy.join(&name)).unwrap();
        other_boot(&mut log, 8);
        std::fs::write(sync.join(&name), log).unwrap();
    }

    host.start();
    assert_eq!(host.read_all("web"), lines[..last_shown]);
    let mut container = host.run("web");
    container.print(&lines[last_shown..]);
    host.stop(&mut container);
    host.wait_until(is_cut, "web");
    assert!(host.read_all("web") == lines);
    let tail = host.read(
        "web",
        &Query {
            tail: Some(400),
            ..Query::default()
        },
    );
    assert!(tail == lines[600..]);
}

/// Makes a header that ends with a boot id and its checksum one of another machine start.
fn other_boot(file: &mut [u8], at: usize) {
    file[at] ^= 0xff;
    let end = at + 16;
    let crc = crc32c::crc32c(&file[..end]);
    file[end..end + 4].copy_from_slice(&crc.to_le_bytes());
}
