//! Recording dispatches, whole or in slices, into any command encoder.

use std::sync::Arc;

use super::{FOLD, Pipeline};

/// A range of workgroups of one dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Index of the dispatch in its program.
    pub dispatch: u32,
    /// First workgroup.
    pub first: u32,
    /// One past the last workgroup.
    pub end: u32,
    /// Work in it, in the units of the budget: FLOP, or bytes weighted as FLOP where they dominate.
    pub work: u64,
}

impl Slice {
    /// Workgroup counts (x, y, z) for `workgroups` in one line, folded at [`FOLD`].
    pub fn fold(workgroups: u32) -> [u32; 3] {
        [workgroups.min(FOLD), workgroups.div_ceil(FOLD), 1]
    }
}

/// A dispatch with its pipeline and bindings, ready to be recorded.
#[derive(Debug)]
pub struct BoundDispatch {
    /// `impasto.<kernel>.<layer>`.
    pub label: String,
    /// The compiled kernel.
    pub pipeline: Arc<Pipeline>,
    /// Its bind group.
    pub bind_group: wgpu::BindGroup,
}

/// Records slices of bound dispatches.
#[derive(Debug)]
pub struct Recorder {
    dispatches: Vec<BoundDispatch>,
    slices: Vec<Slice>,
    stride: u32,
}

impl Recorder {
    /// `stride` is the distance in bytes between two entries of the slice table that the bind groups hold.
    pub fn new(dispatches: Vec<BoundDispatch>, slices: Vec<Slice>, stride: u32) -> Self {
        Self { dispatches, slices, stride }
    }

    /// All slices in order.
    pub fn slices(&self) -> &[Slice] {
        &self.slices
    }

    /// Records the slices `range` in one compute pass. Submits nothing.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder, range: std::ops::Range<usize>) {
        self.record_pass(encoder, range, None);
    }

    /// Records these slices in one compute pass that writes timestamps where asked to.
    pub(crate) fn record_pass(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        slices: impl IntoIterator<Item = usize>,
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) {
        let mut pass = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("impasto"), timestamp_writes });
        for index in slices {
            let slice = &self.slices[index];
            let dispatch = &self.dispatches[slice.dispatch as usize];
            pass.push_debug_group(&dispatch.label);
            pass.set_pipeline(dispatch.pipeline.raw());
            pass.set_bind_group(0, &dispatch.bind_group, &[index as u32 * self.stride]);
            let [x, y, z] = Slice::fold(slice.end - slice.first);
            pass.dispatch_workgroups(x, y, z);
            pass.pop_debug_group();
        }
    }
}
