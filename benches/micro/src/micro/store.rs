//! A whole core: what is written into a FIFO comes to lie in segments, and is read back.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use logboom_core::clock::Clock;
use logboom_core::stream::{GivenOptions, Progress, Query};
use logboom_core::sync_log::{FILE_BYTES, SyncWhen};
use logboom_core::{Core, Settings};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use super::block::frames_of;
use super::{Effort, speed};
use crate::Result;
use crate::corpus::Corpus;
use crate::frames::{START_NS, Times};
use crate::spread::{process_cpu_s, quantile, rounded, thread_cpu_s};

/// As much as dockerd would write at once if it gathered entries, which it does not.
const CHUNK_BYTES: usize = 64 << 10;

/// What is made of a stream before it is sent (`PIECE_BYTES` in `logboom_core::replay`).
const READ_CHUNK_BYTES: usize = 512 << 10;

/// The plugin's default.
const PIPE_BUDGET_BYTES: u64 = 32 << 20;

/// The segment size of the plugin's defaults.
const SEGMENT_BYTES: u64 = 6_250_000;

/// How often a tail or since is asked for.
const CALLS: usize = 500;

/// Something is wrong when the cutter needs longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A core in a folder that goes with it.
struct Host {
    folder: PathBuf,
    core: Core,
    fifo_count: usize,
}

/// A session, with dockerd's end of its FIFO.
struct Container {
    id: String,
    file: String,
    fifo: File,
}

impl Host {
    fn new(name: &str) -> Result<Self> {
        // Beside the stores of real engines: the folder for temporary files may be in memory.
        let folder = PathBuf::from(format!(
            "/var/tmp/logboom-bench-{}-{name}",
            std::process::id()
        ));
        fs::create_dir_all(folder.join("run/docker/logging"))?;
        let core = Core::open(Settings {
            data: folder.join("data"),
            fifo_root: folder.clone(),
            block_after: Duration::from_secs(300),
            pipe_budget_bytes: PIPE_BUDGET_BYTES,
            named_containers: 100,
            sync: SyncWhen::default(),
            log_file_bytes: FILE_BYTES,
            clock: Clock::System,
        })?;
        Ok(Self {
            folder,
            core,
            fifo_count: 0,
        })
    }

    fn start(&mut self, id: &str) -> Result<Container> {
        self.fifo_count += 1;
        let file = format!("/run/docker/logging/{}", self.fifo_count);
        let path = self.folder.join(file.trim_start_matches('/'));
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        let fifo = File::options().read(true).write(true).open(&path)?;
        // A limit that is never reached.
        let given = GivenOptions {
            max_size_bytes: Some(Some(SEGMENT_BYTES)),
            max_file: Some(u64::MAX),
            ..GivenOptions::default()
        };
        self.core.start_session(&file, id, "{}", given)?;
        Ok(Container {
            id: id.to_owned(),
            file,
            fifo,
        })
    }

    /// Ends a session and waits until all of it lies in segments.
    fn stop(&self, container: Container) -> Result<()> {
        self.core.stop_session(&container.file)?;
        drop(container.fifo);
        let folder = self.folder.join("data/containers").join(&container.id);
        let deadline = Instant::now() + PATIENCE;
        while has_journal(&folder)? {
            if Instant::now() > deadline {
                return Err(format!("{} still has a journal", folder.display()).into());
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.core.close();
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

fn has_journal(folder: &Path) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        if entry?
            .path()
            .extension()
            .is_some_and(|extension| extension == "journal")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where each frame ends, seen from its start.
fn frame_ends(frames: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut position = 0;
    while let Some((length, _)) = frames
        .get(position..)
        .and_then(<[u8]>::split_first_chunk::<4>)
    {
        position += 4 + u32::from_be_bytes(*length) as usize;
        ends.push(position);
    }
    ends
}

/// How a FIFO is written to.
#[derive(Clone, Copy, Debug)]
enum Writes {
    /// As dockerd does.
    EachEntry,
    Chunks,
}

fn write_frames(
    mut fifo: &File,
    frames: &[u8],
    ends: &[usize],
    writes: Writes,
) -> std::io::Result<()> {
    match writes {
        Writes::Chunks => frames
            .chunks(CHUNK_BYTES)
            .try_for_each(|chunk| fifo.write_all(chunk)),
        Writes::EachEntry => {
            let mut start = 0;
            ends.iter().try_for_each(|&end| {
                let frame = frames.get(start..end).unwrap_or_default();
                start = end;
                fifo.write_all(frame)
            })
        }
    }
}

/// FIFO, journal, blocks, segment: what that costs beside what the writer spends.
pub(super) fn measure_append(corpus: &Corpus, effort: Effort) -> Result<Value> {
    let frames = frames_of(corpus, &mut Times::default());
    let ends = frame_ends(&frames);
    let passes = effort.run_bytes.div_ceil(frames.len());
    let (bytes, entries) = (frames.len() * passes, ends.len() * passes);
    let mut document = json!({});
    for (name, writes) in [
        ("append", Writes::EachEntry),
        ("append_in_chunks", Writes::Chunks),
    ] {
        let mut host = Host::new("append")?;
        let (mut core_s, mut wall_s, mut writer_s) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..=effort.runs {
            let container = host.start(&format!("run{run}"))?;
            let (started, cpu_before) = (Instant::now(), process_cpu_s());
            let writer_cpu = thread::scope(|scope| {
                let writer = scope.spawn(|| {
                    let before = thread_cpu_s();
                    for _ in 0..passes {
                        write_frames(&container.fifo, &frames, &ends, writes)?;
                    }
                    Ok::<f64, std::io::Error>(thread_cpu_s() - before)
                });
                writer.join()
            })
            .map_err(|_| "the writer panicked")??;
            host.stop(container)?;
            // The first run is to warm up.
            if run > 0 {
                core_s.push(process_cpu_s() - cpu_before - writer_cpu);
                writer_s.push(writer_cpu);
                wall_s.push(started.elapsed().as_secs_f64());
            }
        }
        let mut speeds = speed(&core_s, bytes, entries);
        if let (Some(target), Value::Object(document)) = (speeds.as_object_mut(), &mut document) {
            let wall = speed(&wall_s, bytes, entries);
            let writer = speed(&writer_s, bytes, entries);
            target.insert(
                "gb_per_s".into(),
                wall.pointer("/gb_per_core_s").cloned().unwrap_or_default(),
            );
            target.insert(
                "writer_ns_per_entry".into(),
                writer.pointer("/ns_per_entry").cloned().unwrap_or_default(),
            );
            document.insert(name.into(), speeds);
        }
    }
    Ok(document)
}

/// All that a reader gives.
fn read(core: &Core, query: &Query, chunk: &mut Vec<u8>) -> Result<usize> {
    let mut replay = core.read("big", query)?;
    let mut bytes = 0;
    loop {
        chunk.clear();
        let progress = replay.next_frames(READ_CHUNK_BYTES, chunk);
        bytes += chunk.len();
        if progress != Progress::More {
            return Ok(bytes);
        }
    }
}

/// How long each of many calls takes.
fn latency(core: &Core, query: &Query) -> Result<Value> {
    let mut chunk = Vec::new();
    let mut micros = Vec::new();
    for _ in 0..CALLS {
        let started = Instant::now();
        if read(core, query, &mut chunk)? == 0 {
            return Err(format!("{query:?} gives nothing").into());
        }
        micros.push(started.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    Ok(json!({
        "p50_us": rounded(quantile(&micros, 0.5)),
        "p99_us": rounded(quantile(&micros, 0.99)),
    }))
}

/// One large stream, read back whole and near its end.
pub(super) fn measure_read(corpora: &[Corpus], effort: Effort) -> Result<Value> {
    let mut host = Host::new("read")?;
    let mut container = host.start("big")?;
    let mut times = Times::default();
    let (mut bytes, mut entries) = (0, 0);
    let mut last_times = vec![START_NS];
    while bytes < effort.read_bytes {
        for corpus in corpora {
            let mut before = times.clone();
            let frames = frames_of(corpus, &mut times);
            container.fifo.write_all(&frames)?;
            bytes += frames.len();
            let lines = corpus.lines().count();
            entries += lines;
            last_times = (0..lines).map(|_| before.next_ns()).collect();
        }
    }
    let last_ten = Query {
        tail: Some(10),
        ..Query::default()
    };
    let tail_active = latency(&host.core, &last_ten)?;
    host.stop(container)?;
    let tail_ended = latency(&host.core, &last_ten)?;
    let since = Query {
        since_ns: last_times.iter().rev().nth(9).copied(),
        ..Query::default()
    };
    let since_ended = latency(&host.core, &since)?;

    let mut seconds = Vec::new();
    let mut frame_bytes = 0;
    let mut chunk = Vec::new();
    for run in 0..=effort.runs {
        let before = thread_cpu_s();
        frame_bytes = read(&host.core, &Query::default(), &mut chunk)?;
        if run > 0 {
            seconds.push(thread_cpu_s() - before);
        }
    }
    Ok(json!({
        "frame_bytes": frame_bytes,
        "entries": entries,
        "all": speed(&seconds, frame_bytes, entries),
        "tail_active": tail_active,
        "tail_ended": tail_ended,
        "since_ended": since_ended,
    }))
}
