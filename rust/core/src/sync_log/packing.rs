//! The records of one log file as one run of zstd: each begins where the one before it was flushed, so that it refers to what
//! was said before, container ids and lines alike.

use std::io;

use zstd_safe::zstd_sys::ZSTD_EndDirective::ZSTD_e_flush;
use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use crate::block::LEVEL;

/// LIMIT: how far back a record refers, as a power of two: 128 KiB, which is what a reader has to keep.
const WINDOW_LOG: u32 = 17;

/// What zstd puts around what it flushes, beside the bound that it gives for a frame.
const FLUSH_BYTES: usize = 64;

fn failed(code: usize) -> io::Error {
    io::Error::other(zstd_safe::get_error_name(code))
}

/// Packs the records of one file after another.
pub(super) struct Packer(CCtx<'static>);

impl std::fmt::Debug for Packer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Packer")
    }
}

impl Packer {
    pub(super) fn new() -> Self {
        Self(CCtx::create())
    }

    /// The next record is the first of a file.
    ///
    /// # Errors
    /// zstd refused.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.0.reset(ResetDirective::SessionOnly).map_err(failed)?;
        for parameter in [
            CParameter::CompressionLevel(LEVEL),
            CParameter::WindowLog(WINDOW_LOG),
        ] {
            self.0.set_parameter(parameter).map_err(failed)?;
        }
        Ok(())
    }

    /// Appends what stands for these bytes behind those of earlier calls.
    ///
    /// # Errors
    /// No memory is left; nothing can be packed until the next file.
    pub(super) fn pack(&mut self, bytes: &[u8], packed: &mut Vec<u8>) -> io::Result<()> {
        let mut input = InBuffer::around(bytes);
        loop {
            packed.reserve(zstd_safe::compress_bound(bytes.len() - input.pos()) + FLUSH_BYTES);
            let position = packed.len();
            let mut output = OutBuffer::around_pos(packed, position);
            let left = self
                .0
                .compress_stream2(&mut output, &mut input, ZSTD_e_flush)
                .map_err(failed)?;
            if left == 0 {
                return Ok(());
            }
        }
    }
}

/// Unpacks the records of one file, in their order.
#[derive(Default)]
pub(super) struct Unpacker(Option<DCtx<'static>>);

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Unpacker")
    }
}

impl Unpacker {
    /// Unpacks what stands for `raw_bytes`; `None`: it does not, and neither does what follows.
    pub(super) fn unpack(
        &mut self,
        packed: &[u8],
        raw_bytes: usize,
        bytes: &mut Vec<u8>,
    ) -> Option<()> {
        if self.0.is_none() {
            let mut context = DCtx::try_create()?;
            context
                .set_parameter(DParameter::WindowLogMax(WINDOW_LOG))
                .ok()?;
            self.0 = Some(context);
        }
        let context = self.0.as_mut()?;
        bytes.clear();
        // One more, so that what stands for more is seen.
        bytes.reserve(raw_bytes + 1);
        let capacity = bytes.capacity();
        let mut input = InBuffer::around(packed);
        let mut output = OutBuffer::around(bytes);
        while input.pos() < packed.len() && output.pos() < capacity {
            context.decompress_stream(&mut output, &mut input).ok()?;
        }
        (input.pos() == packed.len() && output.pos() == raw_bytes).then_some(())
    }
}
