//! The one engine of a test target: its kernels are compiled and its weights uploaded once for all tests.

use std::sync::LazyLock;

use impasto::gpu::Gpu;
use impasto::transfer::Engine;
use pollster::block_on;

static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| Engine::builder(block_on(Gpu::open(None)).unwrap()).build().unwrap());

/// With the usual options; [`Engine::reconfigured`] gives it others.
pub(crate) fn engine() -> Engine {
    ENGINE.clone()
}
