//! Where the time of a whole transfer goes.

use super::engine::Engine;
use super::planning::{ProgramId, ProgramKind};
use super::programs::Programs;
use super::scales::Scales;
use crate::error::Result;

/// One program of a transfer, measured: see [`super::Transfer::profile`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProgramProfile {
    /// What it does, such as `step`.
    pub name: &'static str,
    /// Width and height of the pixels.
    pub size: (u32, u32),
    /// How often a whole transfer runs it, where no size ends early.
    pub runs: u32,
    /// Its dispatches, in order.
    pub dispatches: Vec<DispatchProfile>,
}

/// One dispatch of a program, measured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DispatchProfile {
    /// The op that it belongs to.
    pub op: &'static str,
    /// The kernel.
    pub kernel: &'static str,
    /// Arithmetic: multiply and add count as two.
    pub flops: u64,
    /// Seconds of one run.
    pub seconds: f64,
}

/// How often programs run in a whole transfer.
pub(super) struct Runs<'a> {
    pub(super) scales: &'a Scales,
    /// Steps at a size.
    pub(super) steps: &'a dyn Fn(usize) -> u32,
    /// Where some steps make anew what others go on with: every how many.
    pub(super) refreshes_every: Option<u32>,
}

impl Runs<'_> {
    fn of(&self, ProgramId { scale, kind }: ProgramId) -> u32 {
        let steps = (self.steps)(scale);
        let refreshing = self.refreshes_every.map_or(0, |every| steps.div_ceil(every.max(1)));
        match kind {
            ProgramKind::Step { refreshes: true } => refreshing,
            ProgramKind::Step { refreshes: false } => steps - refreshing,
            ProgramKind::LookUp(_) | ProgramKind::Target(_) | ProgramKind::Start | ProgramKind::Enlarge => 1,
            ProgramKind::Picture => u32::from(scale == self.scales.last()),
            // For hosts alone, or for those who ask.
            ProgramKind::Output(_) | ProgramKind::Intake(_) | ProgramKind::Wide => 0,
        }
    }
}

/// Times every program that runs. What is in the tensors is not what a transfer has there.
pub(super) async fn profile(
    engine: &Engine,
    programs: &Programs,
    runs: &Runs<'_>,
) -> Result<Vec<ProgramProfile>> {
    let mut profiles = Vec::new();
    for (id, bound) in programs.iter() {
        let times = runs.of(id);
        if times == 0 {
            continue;
        }
        // A driver may compile in the first repeat.
        let measured = bound.executable().time(engine.gpu(), 2).await?;
        let dispatches = bound.program().dispatches.iter().zip(measured);
        profiles.push(ProgramProfile {
            name: id.kind.name(),
            size: runs.scales.get(id.scale),
            runs: times,
            dispatches: dispatches
                .map(|(dispatch, seconds)| DispatchProfile {
                    op: dispatch.op,
                    kernel: dispatch.kernel.name,
                    flops: dispatch.flops,
                    seconds: seconds.into_iter().fold(f64::INFINITY, f64::min),
                })
                .collect(),
        });
    }
    Ok(profiles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::texels::TexelFormat;
    use crate::transfer::SourceId;

    #[test]
    fn programs_run_as_often_as_a_transfer_runs_them() {
        let scales = Scales::of((64, 48), Some(32));
        let last = scales.last();
        assert_eq!(last, 2);
        let steps = |scale: usize| if scale == 0 { 7 } else { 4 };
        let step = |refreshes| ProgramKind::Step { refreshes };
        let every_second = Runs { scales: &scales, steps: &steps, refreshes_every: Some(2) };
        for (kind, runs) in [
            (step(true), [4, 2, 2]),
            (step(false), [3, 2, 2]),
            (ProgramKind::Target(SourceId::Content), [1; 3]),
            (ProgramKind::LookUp(SourceId::Style(0)), [1; 3]),
            (ProgramKind::Picture, [0, 0, 1]),
            (ProgramKind::Output(TexelFormat::Rgba8), [0; 3]),
            (ProgramKind::Wide, [0; 3]),
        ] {
            let found = [0, 1, 2].map(|scale| every_second.of(kind.at(scale)));
            assert_eq!(found, runs, "{kind:?}");
        }
        let all_alike = Runs { refreshes_every: None, ..every_second };
        assert_eq!([0, 1, 2].map(|scale| all_alike.of(step(false).at(scale))), [7, 4, 4]);
    }
}
