//! A kernel that needs what a device does not have is never planned for it: not by itself, not where somebody asks
//! for it, and not where a file that was written on another adapter names it. Needs no GPU.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use impasto::cases;
use impasto::gpu::Kernel;
use impasto::graph::{Limits, Program, Role, Tape, fuse, plan};
use impasto::nn::{PoolKind, vgg19};
use impasto::ops::conv::ConvGeometry;
use impasto::ops::conv::methods::{DIRECT_SUBGROUP, NAIVE, WINOGRAD_SUBGROUP, main_kernel};
use impasto::ops::{
    Algorithm, Capabilities, DeviceClass, Direction, Method, MethodRequest, MethodTable, Precision, Problem,
    Shape, VARIANTS, gram, matrix,
};
use impasto::picture::Size;
use impasto::transfer::{Options, Plan, Preset};

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

/// The methods of a transfer with kernels that need subgroups.
const SUBGROUP_METHODS: [Method; 3] = [WINOGRAD_SUBGROUP, DIRECT_SUBGROUP, gram::SUBGROUP];

/// All methods of all ops.
fn methods() -> impl Iterator<Item = Method> {
    VARIANTS.iter().flat_map(|variants| variants.methods.iter().copied())
}

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
    let capabilities = Capabilities { subgroups, class, ..Capabilities::webgpu() };
    Limits { capabilities, slice_work: 1 << 40, ..Limits::webgpu() }
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
fn asked(limits: &Limits, request: MethodRequest) -> Limits {
    let mut asked = limits.clone();
    asked.capabilities.request = request;
    asked
}

/// The device with a remembered table.
fn remembered(limits: &Limits, methods: &Arc<MethodTable>) -> Limits {
    let mut remembered = limits.clone();
    remembered.capabilities.methods = Arc::clone(methods);
    remembered
}

/// What `programs` do of a method's op, all by this method: as a file says that was written on an adapter where it is
/// the fastest for everything.
fn table<'a>(programs: impl Iterator<Item = &'a Program>, method: Method) -> Arc<MethodTable> {
    let problems = programs.flat_map(|program| program.methods().0.into_keys());
    let of_the_op = problems.filter(|problem| problem.op == method.op);
    Arc::new(MethodTable(of_the_op.map(|problem| (problem, method)).collect()))
}

fn transfer(size: (u32, u32), limits: &Limits) -> Plan {
    let options = Options::preset(Preset::Course).with(|options| options.size = Size::LongerSide(size.0));
    Plan::new(&vgg19(PoolKind::Mean), &options, (size, size), limits).unwrap()
}

/// Whatever is asked of a device, and the tables of every method.
fn whatever_is_asked(limits: &Limits, tables: &[Arc<MethodTable>]) -> Vec<Limits> {
    let algorithms = Algorithm::ALL.map(|(_, algorithm)| MethodRequest::Algorithm(algorithm));
    let methods = methods().map(MethodRequest::Method);
    let requests = [MethodRequest::Auto].into_iter().chain(algorithms).chain(methods);
    let asked = requests.map(|request| asked(limits, request));
    asked.chain(tables.iter().map(|table| remembered(limits, table))).collect()
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
    let cases: Vec<(String, Tape, Vec<Arc<MethodTable>>)> = cases::all()
        .iter()
        .map(|case| {
            let tape = case.record().unwrap().tape;
            let usual = plan(&tape, &limits(None, DeviceClass::Portable)).unwrap();
            let tables = methods().map(|method| table([&usual].into_iter(), method)).collect();
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

fn tables(size: (u32, u32)) -> Vec<Arc<MethodTable>> {
    let usual = transfer(size, &limits(None, DeviceClass::Portable));
    methods().map(|method| table(usual.programs(), method)).collect()
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
                check_transfer(size, &asked(limits, MethodRequest::Method(method)));
            }
            for (_, table) in methods().zip(&tables).filter(|(m, _)| SUBGROUP_METHODS.contains(m)) {
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
    for (method, table) in methods().zip(&tables).filter(|(m, _)| SUBGROUP_METHODS.contains(m)) {
        let directions = [Direction::Forward, Direction::Backward];
        let main = match method {
            gram::SUBGROUP => ["gram_forward_subgroup", "gram_backward_subgroup"],
            method => directions.map(|direction| main_kernel(method, direction).name),
        };
        let portable = limits(Some((8, 8)), DeviceClass::Portable);
        for limits in [asked(&portable, MethodRequest::Method(method)), remembered(&portable, table)] {
            let step = transfer(size, &limits).step.program;
            let taken = |name: &str| step.dispatches.iter().any(|dispatch| dispatch.kernel.name == name);
            assert!(main.into_iter().all(taken), "{method:?}: {main:?}");
        }
    }
}

/// No measurement and no request: a Gram matrix goes by subgroups of 8 lanes where there are such, else by tiles, on every
/// class of devices.
#[test]
fn gram_matrices_have_one_usual_order() {
    on_all_devices(|limits| {
        let expected =
            if limits.capabilities.subgroups == Some((8, 8)) { gram::SUBGROUP } else { gram::TILE };
        let table = transfer((97, 75), limits).step.program.methods();
        let grams: Vec<Method> = table.0.values().copied().filter(|method| method.op == "gram").collect();
        assert!(!grams.is_empty() && grams.iter().all(|method| *method == expected), "{grams:?}");
    });
}

/// And so do products of matrices, whatever their size.
#[test]
fn products_of_matrices_have_one_usual_order() {
    on_all_devices(|limits| {
        for n in [1, 64, 512] {
            let mut tape = Tape::new();
            let a = tape.external("a", Shape::new(1, n, n), Role::Workspace);
            tape.record(
                matrix::MatrixProduct { scale: 1.0, identity: 0.0, symmetric: false },
                &[a, a],
                "layer",
            )
            .unwrap();
            let expected =
                if limits.capabilities.subgroups == Some((8, 8)) { matrix::SUBGROUP } else { matrix::TILE };
            let methods: Vec<Method> = plan(&tape, limits).unwrap().methods().0.into_values().collect();
            assert_eq!(methods, [expected], "{n}");
        }
    });
}

/// A kernel that is written for 3×3 with zeros around is not taken for anything else, whatever is asked for or measured.
#[test]
fn other_geometries_are_done_by_the_kernels_for_all() {
    let asked_for = |case: &cases::Case| case.inputs.len() > 1 && case.family.starts_with("conv_");
    let mut general = 0;
    for case in cases::all().iter().filter(|case| asked_for(case)) {
        let tape = case.record().unwrap().tape;
        for request in methods().map(MethodRequest::Method).chain([MethodRequest::Auto]) {
            let limits = asked(&limits(Some((8, 8)), DeviceClass::Software), request);
            let program = plan(&tape, &limits).unwrap();
            for (problem, method) in program.methods().0 {
                let is_usual = problem.d == 1 && problem.geometry == Some(ConvGeometry::SAME_3X3);
                assert!(is_usual || method == NAIVE, "{}: {method:?}", case.name);
                let kernels = || program.dispatches.iter().map(|dispatch| dispatch.kernel.name);
                assert!(is_usual || kernels().any(|name| name.contains("general")), "{}", case.name);
                general += usize::from(!is_usual);
            }
        }
    }
    assert!(general > 0);
}

#[test]
fn what_is_kept_in_a_file_names_ops_and_methods() {
    let table = transfer((97, 75), &limits(Some((8, 8)), DeviceClass::Software)).step.program.methods();
    let json = serde_json::to_value(&table).unwrap();
    assert_eq!(serde_json::from_value::<MethodTable>(json.clone()).unwrap(), table);
    let first = &json[0];
    assert_eq!(first["op"], "conv");
    assert_eq!(first["geometry"]["kernel"], serde_json::json!([1, 3, 3]));
    let refused = |key: &str, value: &str| {
        let mut damaged = json.clone();
        damaged[0][key] = value.into();
        serde_json::from_value::<MethodTable>(damaged).unwrap_err().to_string()
    };
    assert!(refused("op", "magic").contains("no choice of methods for the op magic"));
    assert!(refused("method", "magic").contains("no method magic for the op conv"));
    // A method of another op.
    assert!(refused("method", gram::TILE.name).contains("no method tile"));
}

/// Method, geometry, channels and direction must be the same: only the plane may differ.
#[test]
fn the_nearest_plane_is_one_of_the_same_problem() {
    let known = |h| Problem {
        op: "conv",
        direction: Direction::Forward,
        inputs: 64,
        outputs: 32,
        d: 1,
        h,
        w: 60,
        geometry: Some(ConvGeometry::SAME_3X3),
    };
    let table = MethodTable([(known(40), NAIVE), (known(400), WINOGRAD_SUBGROUP)].into());
    assert_eq!(table.nearest(&known(50)), Some(NAIVE));
    assert_eq!(table.nearest(&known(390)), Some(WINOGRAD_SUBGROUP));
    for other in [
        Problem { op: "gram", ..known(40) },
        Problem { direction: Direction::Backward, ..known(40) },
        Problem { inputs: 65, ..known(40) },
        Problem { outputs: 31, ..known(40) },
        Problem { geometry: Some(ConvGeometry::POINTWISE), ..known(40) },
        Problem { geometry: None, ..known(40) },
    ] {
        assert_eq!(table.nearest(&other), None, "{other:?}");
    }
}
