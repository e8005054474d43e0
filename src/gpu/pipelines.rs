//! Compiled kernels: built once, inside error scopes, so that a compiler's message becomes an error.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{Access, Gpu, Kernel};
use crate::error::{Error, Remedy, Result};

/// A compiled kernel with its bind group layout.
#[derive(Debug)]
pub struct Pipeline {
    raw: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

impl Pipeline {
    /// The wgpu pipeline.
    pub fn raw(&self) -> &wgpu::ComputePipeline {
        &self.raw
    }

    /// The layout of its only bind group.
    pub fn layout(&self) -> &wgpu::BindGroupLayout {
        &self.layout
    }
}

/// All pipelines of one device, compiled at first use.
#[derive(Debug, Default)]
pub struct Pipelines {
    built: Mutex<HashMap<&'static str, Arc<Pipeline>>>,
}

impl Pipelines {
    /// Bytes of one entry of the slice table: two 32-bit numbers.
    pub const SLICE_BYTES: u64 = 8;

    /// The pipeline of a kernel.
    ///
    /// # Errors
    /// [`Error::Gpu`] with the compiler's own text.
    pub async fn get(&self, gpu: &Gpu, kernel: &'static Kernel) -> Result<Arc<Pipeline>> {
        let found = self.lock().get(kernel.name).cloned();
        if let Some(pipeline) = found {
            return Ok(pipeline);
        }
        let pipeline = Arc::new(build(gpu, kernel, None).await?);
        self.lock().insert(kernel.name, Arc::clone(&pipeline));
        Ok(pipeline)
    }

    /// The pipelines of several kernels, in their order; the same kernel may come more than once. Those that are not
    /// compiled yet are compiled together and waited for once, because each wait is a turn of a browser's event loop.
    ///
    /// # Errors
    /// [`Error::Gpu`] for the first kernel that does not compile, with the compiler's own text.
    pub async fn get_all(&self, gpu: &Gpu, kernels: &[&'static Kernel]) -> Result<Vec<Arc<Pipeline>>> {
        let mut missing: Vec<&'static Kernel> = Vec::new();
        {
            let built = self.lock();
            for kernel in kernels {
                let listed = missing.iter().any(|other| other.name == kernel.name);
                if !listed && !built.contains_key(kernel.name) {
                    missing.push(kernel);
                }
            }
        }
        if !missing.is_empty() {
            let scopes = Scopes::push(gpu);
            let compiled: Vec<Pipeline> = missing.iter().map(|kernel| compile(gpu, kernel, None)).collect();
            // If one fails, none is kept: below each is compiled alone, which finds the kernel that the error is about.
            if scopes.pop().await.is_none() {
                let mut built = self.lock();
                for (kernel, pipeline) in missing.into_iter().zip(compiled) {
                    built.entry(kernel.name).or_insert_with(|| Arc::new(pipeline));
                }
            }
        }
        let mut pipelines = Vec::with_capacity(kernels.len());
        for kernel in kernels {
            pipelines.push(self.get(gpu, kernel).await?);
        }
        Ok(pipelines)
    }

    /// Compiles `source` instead of the kernel's own text, with the same bindings and constants. Foreign source keeps
    /// wgpu's run-time checks, which the library's own kernels are compiled without.
    ///
    /// # Errors
    /// [`Error::Gpu`] with the compiler's own text.
    pub async fn replace(&self, gpu: &Gpu, kernel: &'static Kernel, source: &str) -> Result<()> {
        let pipeline = Arc::new(build(gpu, kernel, Some(source)).await?);
        self.lock().insert(kernel.name, pipeline);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<&'static str, Arc<Pipeline>>> {
        self.built.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Error scopes for compilers: an error is of one of three kinds, depending on driver and stage.
struct Scopes {
    invalid: wgpu::ErrorScopeGuard,
    internal: wgpu::ErrorScopeGuard,
    exhausted: wgpu::ErrorScopeGuard,
}

impl Scopes {
    fn push(gpu: &Gpu) -> Self {
        let device = gpu.device();
        let exhausted = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let invalid = device.push_error_scope(wgpu::ErrorFilter::Validation);
        Self { invalid, internal, exhausted }
    }

    /// Closes all three at once, and returns a future of the error.
    fn pop(self) -> impl Future<Output = Option<wgpu::Error>> {
        let (invalid, internal, exhausted) = (self.invalid.pop(), self.internal.pop(), self.exhausted.pop());
        async move {
            let errors = [invalid.await, internal.await, exhausted.await];
            errors.into_iter().flatten().next()
        }
    }
}

/// Compiles the kernel's own text, or `replacement` with run-time checks, and waits for the errors.
async fn build(gpu: &Gpu, kernel: &Kernel, replacement: Option<&str>) -> Result<Pipeline> {
    let scopes = Scopes::push(gpu);
    let pipeline = compile(gpu, kernel, replacement);
    match scopes.pop().await {
        Some(error) => Err(Error::Gpu {
            what: format!("compiling the kernel {}", kernel.name),
            reason: error.to_string().trim_end().to_owned(),
            remedy: if replacement.is_some() {
                "mend the text; entry point, bindings and uniforms must be those of the built-in kernel"
                    .into()
            } else if kernel.text().contains("pack2x16float(") {
                Remedy::Any(vec![Remedy::UpdateDriver, Remedy::OtherAdapter, Remedy::SinglePrecision])
            } else {
                Remedy::Any(vec![Remedy::UpdateDriver, Remedy::OtherAdapter])
            },
        }),
        None => Ok(pipeline),
    }
}

/// Compiles the kernel's own text, or `replacement` with run-time checks. Errors go to the scopes around it.
fn compile(gpu: &Gpu, kernel: &Kernel, replacement: Option<&str>) -> Pipeline {
    let device = gpu.device();
    let label = format!("impasto.{}", kernel.name);
    let text = replacement.map_or_else(|| kernel.text(), Cow::from);
    let descriptor =
        wgpu::ShaderModuleDescriptor { label: Some(&label), source: wgpu::ShaderSource::Wgsl(text) };
    let checked = replacement.is_some();
    let module = if checked {
        device.create_shader_module(descriptor)
    } else {
        // SAFETY: the shader is our own file. Every kernel clamps or tests its indices itself, bounds its loops
        // by uniform values and writes workgroup memory before it reads it; the kernel tests run each of them
        // between sentinels. The run-time checks would cost a third of the instructions on AMD, half on Intel.
        #[allow(unsafe_code)]
        unsafe {
            device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        }
    };
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(&label),
        entries: &layout_entries(kernel),
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(&label),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(&label),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &kernel.constants(),
            zero_initialize_workgroup_memory: checked,
        },
        cache: None,
    });
    Pipeline { raw, layout }
}

fn layout_entries(kernel: &Kernel) -> Vec<wgpu::BindGroupLayoutEntry> {
    let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    };
    let mut entries = vec![
        entry(0, wgpu::BufferBindingType::Uniform, true),
        entry(1, wgpu::BufferBindingType::Uniform, false),
    ];
    for (index, binding) in kernel.bindings.iter().enumerate() {
        let ty = wgpu::BufferBindingType::Storage { read_only: binding.access == Access::Read };
        entries.push(entry(Kernel::FIRST_STORAGE_BINDING + index as u32, ty, false));
    }
    entries
}
