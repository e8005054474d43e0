//! A kernel that needs what a device does not have is never planned for it: not by itself, not where somebody asks
//! for it, and not where a file that was written on another adapter names it. Needs no GPU.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use impasto::cases;
use impasto::gpu::Kernel;
use impasto::graph::{Limits, Program, Tape, fuse, plan};
use impasto::nn::{PoolKind, vgg19};
use impasto::ops::conv::{Algorithm, Choices, Direction, Method};
use impasto::ops::{Capabilities, DeviceClass, KernelChoice, Precision};
use impasto::picture::Size;
use impasto::transfer::{Options, Plan, Preset, plan_transfer};

/// Smallest and largest subgroup.
type Range = (u32, u32);

/// Devices without subgroups, with subgroups of one size, and with a range of sizes.
const SUBGROUPS: [Option<Range>; 8] = [
    None,
    Some((4, 4)),
    Some((8, 8)),
    Some((16, 16)),
    Some((32, 32)),
    Some((64, 64)),
    Some((4, 64)),
    Some((8, 128)),
];

const CLASSES: [DeviceClass; 3] = [DeviceClass::ManyRegisters, DeviceClass::Portable, DeviceClass::Software];

/// The methods with kernels that need subgroups.
const SUBGROUP_METHODS: [Method; 2] = [Method::WinogradSubgroup, Method::DirectSubgroup];

/// What the kernel needs, the device has: whatever the size of a subgroup turns out to be, the kernel is right for it.
fn fits(kernel: &Kernel, subgroups: Option<Range>) -> bool {
    match (kernel.subgroup, subgroups) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some((smallest, largest)), Some((min, max))) => {
            (min..=max).all(|n| (smallest..=largest).contains(&n))
        }
    }
}

fn misfits(program: &Program, subgroups: Option<Range>) -> Vec<&'static str> {
    let kernels = program.dispatches.iter().map(|dispatch| dispatch.kernel);
    kernels.filter(|kernel| !fits(kernel, subgroups)).map(|kernel| kernel.name).collect()
}

fn uses_subgroups(program: &Program) -> bool {
    program.dispatches.iter().any(|dispatch| dispatch.kernel.subgroup.is_some())
}

/// A device with WebGPU's bindings on which nothing was asked for.
fn limits(subgroups: Option<Range>, class: DeviceClass) -> Limits {
    let capabilities = Capabilities {
        max_binding_bytes: 128 << 20,
        subgroups,
        class,
        choice: KernelChoice::Auto,
        choices: Arc::default(),
        low_memory: false,
        precision: Precision::F32,
    };
    Limits {
        capabilities,
        max_buffer_bytes: 256 << 20,
        memory_bytes: None,
        alignment: 256,
        uniform_alignment: 256,
        slice_work: 1 << 40,
        timestamps: false,
    }
}

/// The devices with these subgroups, in every precision, with and without short memory.
fn devices(subgroups: Option<Range>) -> impl Iterator<Item = Limits> {
    CLASSES.into_iter().flat_map(move |class| {
        let ways =
            [false, true].map(|low_memory| Precision::ALL.map(|(_, precision)| (low_memory, precision)));
        ways.into_iter().flatten().map(move |(low_memory, precision)| {
            let mut limits = limits(subgroups, class);
            limits.capabilities.low_memory = low_memory;
            limits.capabilities.precision = precision;
            limits
        })
    })
}

/// The device with a method asked for.
fn asked(limits: &Limits, choice: KernelChoice) -> Limits {
    let mut asked = limits.clone();
    asked.capabilities.choice = choice;
    asked
}

/// The device with a remembered table.
fn remembered(limits: &Limits, choices: &Arc<Choices>) -> Limits {
    let mut remembered = limits.clone();
    remembered.capabilities.choices = Arc::clone(choices);
    remembered
}

/// The convolutions of `programs`, all by one method: as a file says that was written on an adapter where it is the
/// fastest for everything.
fn table<'a>(programs: impl Iterator<Item = &'a Program>, method: Method) -> Arc<Choices> {
    let layers = programs.flat_map(|program| program.convolutions().0.into_keys());
    Arc::new(Choices(layers.map(|layer| (layer, method)).collect()))
}

fn transfer(size: (u32, u32), limits: &Limits) -> Plan {
    let options = Options { size: Size::LongerSide(size.0), ..Options::preset(Preset::Course) };
    plan_transfer(&vgg19(PoolKind::Mean), &options, size, size, [0.0; 3], limits).unwrap()
}

/// Whatever is asked of a device, and the tables of every method.
fn whatever_is_asked(limits: &Limits, tables: &[Arc<Choices>]) -> Vec<Limits> {
    let algorithms = Algorithm::ALL.map(|(_, algorithm)| KernelChoice::Algorithm(algorithm));
    let methods = Method::ALL.map(KernelChoice::Method);
    let choices = [KernelChoice::Auto].into_iter().chain(algorithms).chain(methods);
    let asked = choices.map(|choice| asked(limits, choice));
    asked.chain(tables.iter().map(|choices| remembered(limits, choices))).collect()
}

/// Runs `check` for all devices, those with the same subgroups in a thread of their own.
fn on_all_devices(check: impl Fn(&Limits) + Sync) {
    std::thread::scope(|scope| {
        for subgroups in SUBGROUPS {
            let check = &check;
            scope.spawn(move || devices(subgroups).for_each(|limits| check(&limits)));
        }
    });
}

#[test]
fn no_case_gets_a_kernel_that_the_device_cannot_run() {
    let cases: Vec<(String, Tape, [Arc<Choices>; 8])> = cases::all()
        .iter()
        .map(|case| {
            let tape = case.record().unwrap().tape;
            let usual = plan(&tape, &limits(None, DeviceClass::Portable)).unwrap();
            let tables = Method::ALL.map(|method| table([&usual].into_iter(), method));
            (case.name.clone(), fuse(&tape), tables)
        })
        .collect();
    on_all_devices(|limits| {
        for (name, tape, tables) in &cases {
            for asked in whatever_is_asked(limits, tables) {
                let Capabilities { subgroups, .. } = asked.capabilities;
                let misfits = misfits(&plan(tape, &asked).unwrap(), subgroups);
                assert!(misfits.is_empty(), "{name}: {misfits:?} with {:?}", asked.capabilities);
            }
        }
    });
}

fn check_transfer(size: (u32, u32), limits: &Limits) {
    let subgroups = limits.capabilities.subgroups;
    for program in transfer(size, limits).programs() {
        let misfits = misfits(program, subgroups);
        assert!(misfits.is_empty(), "{size:?}: {misfits:?} with {:?}", limits.capabilities);
    }
}

fn tables(size: (u32, u32)) -> [Arc<Choices>; 8] {
    let usual = transfer(size, &limits(None, DeviceClass::Portable));
    Method::ALL.map(|method| table(usual.programs(), method))
}

#[test]
fn no_transfer_gets_a_kernel_that_the_device_cannot_run() {
    let size = (97, 75);
    let tables = tables(size);
    on_all_devices(|limits| {
        whatever_is_asked(limits, &tables).iter().for_each(|asked| check_transfer(size, asked));
    });
}

/// What depends on the size is what is in pieces, and which planes Winograd takes.
#[test]
fn nor_does_a_larger_one() {
    for size in [(400, 300), (1024, 768)] {
        let tables = tables(size);
        on_all_devices(|limits| {
            let Capabilities { low_memory, precision, .. } = limits.capabilities;
            // The others are tried with the small picture.
            if low_memory != (precision == Precision::F16) {
                return;
            }
            check_transfer(size, limits);
            for method in SUBGROUP_METHODS {
                check_transfer(size, &asked(limits, KernelChoice::Method(method)));
            }
            for (_, table) in Method::ALL.iter().zip(&tables).filter(|(m, _)| SUBGROUP_METHODS.contains(m)) {
                check_transfer(size, &remembered(limits, table));
            }
        });
    }
}

/// Without this, the tests above would pass with kernels that nobody ever takes.
#[test]
fn what_a_device_has_is_taken() {
    let size = (97, 75);
    let tables = tables(size);
    let software = limits(Some((8, 8)), DeviceClass::Software);
    let usual = transfer(size, &software);
    assert!(usual.programs().any(uses_subgroups));
    // The same plan is a mistake elsewhere, and it is seen.
    for subgroups in SUBGROUPS.into_iter().filter(|subgroups| *subgroups != Some((8, 8))) {
        assert!(usual.programs().any(|program| !misfits(program, subgroups).is_empty()), "{subgroups:?}");
    }
    for (method, table) in Method::ALL.iter().zip(&tables).filter(|(m, _)| SUBGROUP_METHODS.contains(m)) {
        let main = [Direction::Forward, Direction::Backward].map(|direction| method.kernel(direction).name);
        let portable = limits(Some((8, 8)), DeviceClass::Portable);
        for limits in [asked(&portable, KernelChoice::Method(*method)), remembered(&portable, table)] {
            let step = transfer(size, &limits).step.program;
            let taken = |name: &str| step.dispatches.iter().any(|dispatch| dispatch.kernel.name == name);
            assert!(main.into_iter().all(taken), "{method:?}: {main:?}");
        }
    }
}
