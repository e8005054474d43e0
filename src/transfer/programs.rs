//! The programs of a transfer on the device, and every tensor from outside that they bind, each once by its name.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::bound_program::BoundProgram;
use super::engine::Engine;
use super::planning::{Plan, PlannedProgram, ProgramId};
use crate::error::Result;
use crate::graph::{Arenas, Executable, Externals, Program, Role};

/// How tensors from outside are used.
const EXTERNAL: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// All programs of a transfer.
#[derive(Debug)]
pub(super) struct Programs {
    /// A step.
    pub(super) step: BoundProgram,
    /// From the pixels to an 8-bit picture.
    pub(super) picture: BoundProgram,
    others: HashMap<ProgramId, BoundProgram>,
    /// The memory of a step, which the programs that run between two steps share.
    arenas: Arenas,
    externals: Externals,
}

impl Programs {
    /// Allocates and compiles everything that `plan` has. Returns with it the flag that is set when weights are lost on
    /// their way to the device. Submits nothing.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub(super) async fn new(engine: &Engine, plan: Plan) -> Result<(Self, Arc<AtomicBool>)> {
        let Plan { step, mut others, .. } = plan;
        let sharing = others.iter().filter(|(id, _)| id.shares_arenas()).map(|(_, planned)| &planned.program);
        let arenas = Arenas::new(engine.gpu(), sharing.chain([&step.program])).await?;
        let mut externals = Externals::default();
        let weights_discarded =
            engine.weights_store().reserve(engine.gpu(), &step.program, &mut externals).await?;
        let step = PlannedProgram { program: step.program, results: Vec::new() };
        let step = bind(engine, ProgramId::Step, step, &arenas, &mut externals).await?;
        let planned = others.remove(&ProgramId::Picture).unwrap_or_default();
        let picture = bind(engine, ProgramId::Picture, planned, &arenas, &mut externals).await?;
        let mut programs = Self { step, picture, others: HashMap::new(), arenas, externals };
        for (id, planned) in others {
            programs.add(engine, id, planned).await?;
        }
        Ok((programs, weights_discarded))
    }

    /// One more program.
    ///
    /// # Errors
    /// As [`Programs::new`].
    pub(super) async fn add(
        &mut self,
        engine: &Engine,
        id: ProgramId,
        planned: PlannedProgram,
    ) -> Result<()> {
        let bound = bind(engine, id, planned, &self.arenas, &mut self.externals).await?;
        self.others.insert(id, bound);
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
        let mut externals = self.externals.clone();
        let mut replaced = Vec::new();
        for (id, planned) in programs {
            replaced.push((id, bind(engine, id, planned, &self.arenas, &mut externals).await?));
        }
        self.externals = externals;
        self.others.extend(replaced);
        Ok(())
    }

    /// A program; `None` where the transfer has none of this kind.
    pub(super) fn get(&self, id: ProgramId) -> Option<&BoundProgram> {
        match id {
            ProgramId::Step => Some(&self.step),
            ProgramId::Picture => Some(&self.picture),
            other => self.others.get(&other),
        }
    }

    /// The clock of the GPU says that slices of a program took `seconds`.
    pub(super) fn learn(&mut self, id: ProgramId, slices: std::ops::Range<usize>, seconds: f64) {
        let program = match id {
            ProgramId::Step => Some(&mut self.step),
            ProgramId::Picture => Some(&mut self.picture),
            other => self.others.get_mut(&other),
        };
        // A host may have brought another picture, and with it another program, meanwhile.
        if let Some(program) = program {
            program.learn(slices, seconds);
        }
    }

    /// The buffers of the pieces of a tensor from outside.
    pub(super) fn pieces(&self, name: &str) -> Vec<Arc<wgpu::Buffer>> {
        self.externals.pieces(name)
    }

    /// Every tensor from outside.
    pub(super) fn externals(&self) -> &Externals {
        &self.externals
    }

    /// Bytes of everything that was created for them, weights included.
    pub(super) fn allocated_bytes(&self) -> u64 {
        let programs = [&self.step, &self.picture].into_iter().chain(self.others.values());
        let own = programs.map(|program| program.executable().allocated_bytes()).sum::<u64>();
        own + self.arenas.bytes() + self.externals.allocated_bytes()
    }
}

/// A program with its buffers: those that `externals` have not yet, or have in another size, are allocated.
async fn bind(
    engine: &Engine,
    id: ProgramId,
    PlannedProgram { program, results }: PlannedProgram,
    arenas: &Arenas,
    externals: &mut Externals,
) -> Result<BoundProgram> {
    let (gpu, pipelines) = (engine.gpu(), engine.pipelines());
    engine.weights_store().reserve(gpu, &program, externals).await?;
    allocate(engine, &program, externals).await?;
    let bound = externals.of(&program);
    // A larger picture than at first gets memory of its own.
    let executable = if id.shares_arenas() && arenas.hold(&program) {
        Executable::sharing(gpu, pipelines, program, bound, arenas).await?
    } else {
        Executable::new(gpu, pipelines, program, bound).await?
    };
    Ok(BoundProgram::new(gpu, executable, results))
}

/// Allocates everything that `program` takes from outside and that is not there yet.
async fn allocate(engine: &Engine, program: &Program, externals: &mut Externals) -> Result<()> {
    for external in program.externals.iter().filter(|external| external.role != Role::Weights) {
        if !externals.holds(external) {
            let label = format!("impasto.{}", external.name);
            externals
                .insert(external, Arc::new(engine.gpu().buffer(&label, external.bytes, EXTERNAL).await?));
        }
    }
    Ok(())
}
