//! The programs of a transfer on the device, and every tensor from outside that they bind, each once by its name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::bound_program::BoundProgram;
use super::engine::Engine;
use super::piece::Piece;
use super::planning::{Plan, PlannedProgram, ProgramId, ProgramKind};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::graph::{Arenas, Executable, Externals, Program, Role};
use crate::ops::MethodTable;

/// How tensors from outside are used.
const EXTERNAL: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// All programs of a transfer.
#[derive(Debug)]
pub(super) struct Programs {
    bound: BTreeMap<ProgramId, BoundProgram>,
    /// The memory of a step, which the programs that run between two steps share.
    arenas: Arenas,
    /// Memory of the programs that a host may record in the middle of a step: that of the pictures first, then that of
    /// each format of texels, shared by all sizes.
    output_arenas: Vec<Arenas>,
    externals: Externals,
}

impl Programs {
    /// Allocates and compiles everything that `plan` has. Returns with it the flag that is set when weights are lost on
    /// their way to the device. Submits nothing.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub(super) async fn new(engine: &Engine, plan: Plan) -> Result<(Self, Arc<AtomicBool>)> {
        let step = plan.step_id();
        let Plan { step: planned_step, others, .. } = plan;
        let programs = others.iter().map(|(id, planned)| (id.kind, &planned.program));
        let sharing = programs.clone().filter(|(kind, _)| kind.shares_arenas()).map(|(_, program)| program);
        let arenas = Arenas::new(engine.gpu(), sharing.chain([&planned_step.program])).await?;
        let pictures = programs.filter(|(kind, _)| !kind.shares_arenas()).map(|(_, program)| program);
        let output_arenas = vec![Arenas::new(engine.gpu(), pictures).await?];
        let mut externals = Externals::default();
        let weights_discarded =
            engine.weights_store().reserve(engine.gpu(), &planned_step.program, &mut externals).await?;
        let planned_step = PlannedProgram { program: planned_step.program, results: Vec::new() };
        let mut programs = Self { bound: BTreeMap::new(), arenas, output_arenas, externals };
        let planned = std::iter::once((step, planned_step)).chain(others).collect();
        let bound = programs.bind_all(engine, planned).await?;
        programs.bound.extend(bound);
        Ok((programs, weights_discarded))
    }

    /// Programs with their buffers: those that there are not yet, or that are too small, are allocated.
    async fn bind_all(
        &mut self,
        engine: &Engine,
        programs: Vec<(ProgramId, PlannedProgram)>,
    ) -> Result<Vec<(ProgramId, BoundProgram)>> {
        // Before the first is bound: sizes share tensors, and each is made for the program that needs the most of it.
        let all = programs.iter().map(|(_, planned)| &planned.program);
        allocate(engine, all, &mut self.externals).await?;
        let mut bound = Vec::new();
        for (id, planned) in programs {
            bound.push((id, self.bind(engine, id, planned).await?));
        }
        Ok(bound)
    }

    /// A program with its buffers, which are allocated.
    async fn bind(
        &mut self,
        engine: &Engine,
        id: ProgramId,
        PlannedProgram { program, results }: PlannedProgram,
    ) -> Result<BoundProgram> {
        let (gpu, pipelines) = (engine.gpu(), engine.pipelines());
        engine.weights_store().reserve(gpu, &program, &mut self.externals).await?;
        let bound = self.externals.of(&program);
        let arenas = match id.kind {
            kind if kind.shares_arenas() => Some(&self.arenas),
            ProgramKind::Picture => self.output_arenas.first(),
            _ => self.output_arenas.last(),
        };
        // A larger picture than at first gets memory of its own.
        let executable = match arenas.filter(|arenas| arenas.hold(&program)) {
            Some(arenas) => Executable::sharing(gpu, pipelines, program, bound, arenas).await?,
            None => Executable::new(gpu, pipelines, program, bound).await?,
        };
        Ok(BoundProgram::new(gpu, executable, results))
    }

    /// Programs that make texels for a host, at every size.
    ///
    /// # Errors
    /// As [`Programs::new`].
    pub(super) async fn add_outputs(
        &mut self,
        engine: &Engine,
        programs: Vec<(ProgramId, PlannedProgram)>,
    ) -> Result<()> {
        let sharing = programs.iter().map(|(_, planned)| &planned.program);
        self.output_arenas.push(Arenas::new(engine.gpu(), sharing).await?);
        let bound = self.bind_all(engine, programs).await?;
        self.bound.extend(bound);
        Ok(())
    }

    /// Puts these in the places of others. Where one fails, all is as it was.
    ///
    /// # Errors
    /// As [`Programs::new`].
    pub(super) async fn replace(
        &mut self,
        engine: &Engine,
        programs: Vec<(ProgramId, PlannedProgram)>,
    ) -> Result<()> {
        let externals = self.externals.clone();
        match self.bind_all(engine, programs).await {
            Ok(bound) => self.bound.extend(bound),
            Err(error) => {
                self.externals = externals;
                return Err(error);
            }
        }
        Ok(())
    }

    /// A program; `None` where the transfer has none of this kind.
    pub(super) fn get(&self, id: ProgramId) -> Option<&BoundProgram> {
        self.bound.get(&id)
    }

    /// All of them, by size and kind.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ProgramId, &BoundProgram)> {
        self.bound.iter().map(|(id, bound)| (*id, bound))
    }

    /// A step or a picture, of which every size has one.
    pub(super) fn running(&self, id: ProgramId) -> &BoundProgram {
        &self.bound[&id]
    }

    /// The same, to be run.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where there is none.
    pub(super) fn running_mut(&mut self, gpu: &Gpu, id: ProgramId) -> Result<&mut BoundProgram> {
        self.bound.get_mut(&id).ok_or_else(|| gpu.fault("running a program", format!("there is no {id:?}")))
    }

    /// What steps and look-ups of a size can do by several methods, with the method that does it.
    pub(super) fn methods(&self, scale: usize) -> MethodTable {
        let counts = |id: &ProgramId| {
            let kind = matches!(id.kind, ProgramKind::Step { .. } | ProgramKind::LookUp(_));
            id.scale == scale && kind
        };
        let programs = self.bound.iter().filter(|(id, _)| counts(id));
        MethodTable(programs.flat_map(|(_, bound)| bound.program().methods().0).collect())
    }

    /// The clock of the GPU says that slices of a program took `seconds`.
    pub(super) fn learn(&mut self, id: ProgramId, slices: std::ops::Range<usize>, seconds: f64) {
        // A host may have brought another picture, and with it another program, meanwhile.
        if let Some(program) = self.bound.get_mut(&id) {
            program.learn(slices, seconds);
        }
    }

    /// The pieces of a tensor from outside, as the programs of a size have them.
    pub(super) fn tensor(&self, scale: usize, name: &str) -> Vec<Piece> {
        let of_scale = self.bound.iter().filter(|(id, _)| id.scale == scale);
        let mut programs = of_scale.map(|(_, bound)| bound.program());
        let reads = |program: &&Program| program.externals.iter().any(|external| external.name == name);
        let Some(program) = programs.find(reads) else { return Vec::new() };
        let mut pieces: Vec<_> = program.externals.iter().filter(|external| external.name == name).collect();
        pieces.sort_by_key(|external| external.piece);
        let piece =
            |external| Some(Piece { buffer: self.externals.get(external)?.clone(), bytes: external.bytes });
        pieces.into_iter().filter_map(piece).collect()
    }

    /// Every tensor from outside.
    pub(super) fn externals(&self) -> &Externals {
        &self.externals
    }

    /// Bytes of everything that was created for them, weights included.
    pub(super) fn allocated_bytes(&self) -> u64 {
        let own = self.bound.values().map(|program| program.executable().allocated_bytes()).sum::<u64>();
        let outputs = self.output_arenas.iter().map(Arenas::bytes).sum::<u64>();
        own + outputs + self.arenas.bytes() + self.externals.allocated_bytes()
    }
}

/// Allocates everything that `programs` take from outside and that is not there yet, or is too small: as much as the one
/// that takes the most.
async fn allocate(
    engine: &Engine,
    programs: impl IntoIterator<Item = &Program>,
    externals: &mut Externals,
) -> Result<()> {
    let mut largest = BTreeMap::new();
    for external in programs.into_iter().flat_map(|program| &program.externals) {
        let known = largest.entry((&external.name, external.piece, external.form)).or_insert(external);
        if external.bytes > known.bytes {
            *known = external;
        }
    }
    for external in largest.into_values().filter(|external| external.role != Role::Weights) {
        if !externals.hold(external) {
            let label = format!("impasto.{}", external.name);
            externals
                .insert(external, Arc::new(engine.gpu().buffer(&label, external.bytes, EXTERNAL).await?));
        }
    }
    Ok(())
}
