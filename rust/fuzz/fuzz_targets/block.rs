//! Any bytes as a block: it is refused, or gives as many entries as its header says, in bounded memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logboom_core::block::{BLOCK_PREFIX_BYTES, Block, BlockBuilder, BlockHeader, Encoder, Origin};
use logboom_core::wire::Entry;
use logboom_fuzz::{Kept, mend_block};

fn read(bytes: &[u8], memory: &mut Block) -> Option<Vec<(Kept, bool)>> {
    let (prefix, body) = bytes.split_first_chunk::<BLOCK_PREFIX_BYTES>()?;
    let header = BlockHeader::decode(prefix).ok()?;
    memory.decode(&header, body).ok()?;
    let rows: Vec<(Kept, bool)> = memory
        .rows()
        .map_while(Result::ok)
        .map(|row| (Kept::of(&row.entry), row.is_own))
        .collect();
    assert!(rows.len() <= header.entry_count as usize);
    (rows.len() == header.entry_count as usize).then_some(rows)
}

/// What came out goes in and comes out again.
fn check_again(rows: &[(Kept, bool)], memory: &mut Block) {
    let mut builder = BlockBuilder::default();
    for (entry, is_own) in rows {
        let entry = Entry {
            source: &entry.source,
            time_ns: entry.time_ns,
            line: &entry.line,
            partial: entry.partial,
            metadata: entry.metadata.as_deref().map(Into::into),
            last: entry.last,
            unknown: entry.unknown.as_slice().into(),
        };
        builder.push(&entry, *is_own);
    }
    let mut block = Vec::new();
    let made = builder.finish(Origin::default(), &mut Encoder::new(true), &mut block);
    assert_eq!(made.is_some(), !rows.is_empty());
    assert_eq!(read(&block, memory).unwrap_or_default(), rows);
}

fuzz_target!(|input: &[u8]| {
    let mut memory = Block::default();
    read(input, &mut memory);
    let mut mended = input.to_vec();
    mend_block(&mut mended);
    if let Some(rows) = read(&mended, &mut memory) {
        check_again(&rows, &mut memory);
    }
});
