//! Any bytes as a journal generation: the stream is opened, and gives the same entries before they are cut into blocks, afterwards,
//! and to the next worker.
#![no_main]

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use logboom_core::disk::Disk;
use logboom_core::journal::HEADER_PAGE_BYTES;
use logboom_core::stream::{Boot, CutWhen, Progress, Query, Reader, Stream, Tools};
use logboom_core::sync_log::SyncWhen;
use logboom_fuzz::{Kept, MemoryDisk, put};

const BOOT_ID: [u8; 16] = *b"this very start.";
/// So few bytes are also taken as they are.
const SHORT_BYTES: usize = 64;

fn open(disk: &Arc<MemoryDisk>) -> Arc<Stream> {
    let boot = Boot {
        id: BOOT_ID,
        power_cuts: 0,
    };
    let disk: Arc<dyn Disk> = disk.clone();
    let defaults = Arc::default();
    Arc::new(Stream::new(
        "web",
        "/web".into(),
        disk,
        boot,
        defaults,
        0,
        SyncWhen::default(),
    ))
}

fn read(stream: &Arc<Stream>) -> Vec<(Kept, bool)> {
    let mut reader = Reader::open(stream, &Query::default()).expect("the disk does not fail");
    let mut found = Vec::new();
    while reader.step(&mut |given| found.push((Kept::of(given.entry), given.is_own)))
        == Progress::More
    {}
    found
}

thread_local! {
    /// zstd's memory takes longer to make than the rest.
    static TOOLS: RefCell<Tools> = RefCell::default();
}

fn check(content: &[u8]) {
    let path = Path::new("/web/00000000000000000000.journal");
    let disk = Arc::new(MemoryDisk::with_file(path, content));
    let stream = open(&disk);
    let found = read(&stream);
    assert_eq!(found, read(&open(&disk)));
    TOOLS
        .with_borrow_mut(|tools| stream.cut(CutWhen::All, 0, tools))
        .expect("the disk does not fail");
    assert_eq!(found, read(&stream));
    assert_eq!(found, read(&open(&disk)));
}

/// A header page of any bytes, whole and of this machine start; the bytes behind it begin where the input has them.
fn mend(input: &[u8]) -> Vec<u8> {
    let (fields, frames) = input.split_at(input.len().min(24));
    let mut page = vec![0; HEADER_PAGE_BYTES];
    page[..8].copy_from_slice(b"LOGJRNL1");
    // Number and initial bytes stay 0; session, start and time are the input's.
    for (place, field) in [16, 24, 40].into_iter().zip(fields.chunks_exact(8)) {
        page[place..place + 8].copy_from_slice(field);
    }
    // No stream gets near the end of the numbers.
    page[31] = 0;
    page[56..72].copy_from_slice(&BOOT_ID);
    let crc = crc32c::crc32c(&page[..72]);
    put(&mut page, 72, crc);
    page.extend_from_slice(frames);
    page
}

fuzz_target!(|input: &[u8]| {
    if input.starts_with(b"LOGJRNL1") && input.len() >= HEADER_PAGE_BYTES {
        return check(input);
    }
    // What has no first page is set aside: a few bytes tell as much about that as many.
    if input.len() < SHORT_BYTES {
        check(input);
    }
    check(&mend(input));
});
