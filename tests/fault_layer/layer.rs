//! A Vulkan layer that makes a healthy driver's answers bad: it loses the device, or runs out of memory, when asked to.
//!
//! A layer is a shared library that the Vulkan loader puts between a program and the driver. This one is a test
//! fixture: `tests/common/fault.rs` compiles it with `rustc` alone, so it declares the few types of Vulkan that it
//! touches and uses no crate. Everything it does not name goes straight to the driver.
//!
//! | variable | what it does |
//! |---|---|
//! | `IMPASTO_TEST_LOSE_AT=N` | the N-th submission to a queue is refused, because the device is lost |
//! | `IMPASTO_TEST_HANG_AT=N` | the N-th submission is accepted and never runs; who waits for it learns that the device is lost, as after a driver's reset |
//! | `IMPASTO_TEST_MEMORY=BYTES` | what would bring all live allocations above this is refused |
//! | `IMPASTO_TEST_REPORT=FILE` | one line for each fault that was caused, and one for each device at its end |
//!
//! Once a device is lost, all that may say so does: submitting, waiting, and asking how far the work has come.
//!
//! # Safety
//!
//! All `unsafe` here rests on Vulkan's own contract: the loader and the program pass handles and structures that are
//! valid for the call, and the function pointers that `vkGetInstanceProcAddr` and `vkGetDeviceProcAddr` give have the
//! type that the specification gives to their name. Comments name what else is needed.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::fs::OpenOptions;
use std::io::Write;
use std::mem::{transmute, transmute_copy};
use std::ptr::null_mut;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

// ---- What of Vulkan is needed (vulkan_core.h, vk_layer.h)

/// `VkInstance`, `VkPhysicalDevice`, `VkDevice`, `VkQueue`: points to an object that begins with a pointer to the
/// loader's table of functions.
type Dispatchable = *mut c_void;
/// `VkDeviceMemory`, `VkFence`, `VkSemaphore`.
type Handle = u64;
/// `VkResult`.
type Answer = i32;

const SUCCESS: Answer = 0;
const OUT_OF_DEVICE_MEMORY: Answer = -2;
const INITIALIZATION_FAILED: Answer = -3;
const DEVICE_LOST: Answer = -4;

/// `PFN_vkVoidFunction`.
type Function = unsafe extern "system" fn();
type GetProcAddr = unsafe extern "system" fn(Dispatchable, *const c_char) -> Option<Function>;
type CreateInstance = unsafe extern "system" fn(*const Chained, *const c_void, *mut Dispatchable) -> Answer;
type CreateDevice =
    unsafe extern "system" fn(Dispatchable, *const Chained, *const c_void, *mut Dispatchable) -> Answer;
type Destroy = unsafe extern "system" fn(Dispatchable, *const c_void);
/// `vkQueueSubmit`, `vkQueueSubmit2`: queue, number of batches, batches, fence.
type Submit = unsafe extern "system" fn(Dispatchable, u32, *const c_void, Handle) -> Answer;
/// `vkQueueWaitIdle`, `vkDeviceWaitIdle`.
type WaitIdle = unsafe extern "system" fn(Dispatchable) -> Answer;
type WaitSemaphores = unsafe extern "system" fn(Dispatchable, *const c_void, u64) -> Answer;
type WaitForFences = unsafe extern "system" fn(Dispatchable, u32, *const Handle, u32, u64) -> Answer;
type CounterValue = unsafe extern "system" fn(Dispatchable, Handle, *mut u64) -> Answer;
type FenceStatus = unsafe extern "system" fn(Dispatchable, Handle) -> Answer;
type AllocateMemory =
    unsafe extern "system" fn(Dispatchable, *const MemoryAllocateInfo, *const c_void, *mut Handle) -> Answer;
type FreeMemory = unsafe extern "system" fn(Dispatchable, Handle, *const c_void);

/// How every structure of Vulkan begins.
#[repr(C)]
struct Chained {
    kind: u32,
    next: *const Chained,
}

/// `VkMemoryAllocateInfo`.
#[repr(C)]
struct MemoryAllocateInfo {
    chained: Chained,
    bytes: u64,
    memory_type: u32,
}

/// `VkLayerInstanceCreateInfo` and `VkLayerDeviceCreateInfo`, where `function` is [`LINK_INFO`].
#[repr(C)]
struct LayerCreateInfo {
    chained: Chained,
    function: u32,
    link: *mut LayerLink,
}

/// `VkLayerInstanceLink` and `VkLayerDeviceLink`. The third field is the next layer's
/// `vk_layerGetPhysicalDeviceProcAddr` for an instance, its `vkGetDeviceProcAddr` for a device.
#[repr(C)]
struct LayerLink {
    next: *mut LayerLink,
    next_instance_proc: GetProcAddr,
    next_other_proc: Option<GetProcAddr>,
}

/// `VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO`, `VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO`.
const LOADER_INSTANCE_CREATE_INFO: u32 = 47;
const LOADER_DEVICE_CREATE_INFO: u32 = 48;
/// `VK_LAYER_LINK_INFO`.
const LINK_INFO: u32 = 0;

/// `VkNegotiateLayerInterface`.
#[repr(C)]
pub struct NegotiateLayerInterface {
    chained: Chained,
    version: u32,
    instance_proc: Option<GetProcAddr>,
    device_proc: Option<GetProcAddr>,
    physical_device_proc: Option<GetProcAddr>,
}

// ---- What is remembered

#[derive(Default)]
struct State {
    instances: HashMap<usize, Instance>,
    devices: HashMap<usize, Device>,
    /// Submissions to all queues.
    submissions: u64,
    /// Bytes of what is allocated, and the most that it ever was.
    live: HashMap<Handle, u64>,
    live_bytes: u64,
    peak_bytes: u64,
}

// SAFETY: an instance's handle is an address that is handed back to the loader; nothing here looks behind it.
unsafe impl Send for State {}

#[derive(Clone, Copy)]
struct Instance {
    handle: Dispatchable,
    next: GetProcAddr,
    destroy: Destroy,
}

#[derive(Clone, Copy)]
struct Device {
    handle: Dispatchable,
    next: GetProcAddr,
    lost: bool,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);
static LOSE_AT: LazyLock<Option<u64>> = LazyLock::new(|| number("IMPASTO_TEST_LOSE_AT"));
static HANG_AT: LazyLock<Option<u64>> = LazyLock::new(|| number("IMPASTO_TEST_HANG_AT"));
static MEMORY: LazyLock<Option<u64>> = LazyLock::new(|| number("IMPASTO_TEST_MEMORY"));

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}: {text:?} is no number")))
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn report(line: &str) {
    if let Some(path) = std::env::var_os("IMPASTO_TEST_REPORT") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{line}")).expect("the report can be written");
    }
}

/// What an instance and its physical devices, or a device and its queues, have in common.
///
/// # Safety
/// `handle` is a live dispatchable handle.
unsafe fn key(handle: Dispatchable) -> usize {
    // SAFETY: the loader puts the pointer to its table there.
    unsafe { *handle.cast::<usize>() }
}

/// # Safety
/// `handle` is a live device or one of its queues.
unsafe fn device(handle: Dispatchable) -> Device {
    // SAFETY: as asked for.
    let key = unsafe { key(handle) };
    *state().devices.get(&key).expect("the device was created through this layer")
}

/// The function that this layer stands before.
///
/// # Safety
/// `F` is the function type of `name`.
unsafe fn next<F: Copy>(device: &Device, name: &CStr) -> F {
    const { assert!(size_of::<F>() == size_of::<Function>()) };
    // SAFETY: the device is live, and `F` is what `name` is.
    unsafe {
        let function = (device.next)(device.handle, name.as_ptr()).expect("asked for only where it exists");
        transmute_copy(&function)
    }
}

/// The part of a create info's chain that leads to the next layer.
///
/// # Safety
/// `chained` is a live create info from the loader.
unsafe fn link(mut chained: *const Chained, kind: u32) -> Option<*mut LayerCreateInfo> {
    while !chained.is_null() {
        // SAFETY: all links of a chain are live, and `kind` says which structure it is.
        unsafe {
            if (*chained).kind == kind {
                let info = chained.cast::<LayerCreateInfo>().cast_mut();
                if (*info).function == LINK_INFO {
                    return Some(info);
                }
            }
            chained = (*chained).next;
        }
    }
    None
}

// ---- Instances and devices

/// The only symbol that the loader looks for.
///
/// # Safety
/// Called by the loader, with its structure.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn vkNegotiateLoaderLayerInterfaceVersion(
    interface: *mut NegotiateLayerInterface,
) -> Answer {
    // SAFETY: the loader's structure is live and ours to fill in.
    let interface = unsafe { &mut *interface };
    if interface.version < 2 {
        return INITIALIZATION_FAILED;
    }
    interface.version = 2;
    interface.instance_proc = Some(get_instance_proc_addr);
    interface.device_proc = Some(get_device_proc_addr);
    interface.physical_device_proc = None;
    SUCCESS
}

unsafe extern "system" fn get_instance_proc_addr(
    instance: Dispatchable,
    name: *const c_char,
) -> Option<Function> {
    // SAFETY: `name` is a string; each function has the type of its name.
    unsafe {
        match CStr::from_ptr(name).to_bytes() {
            b"vkGetInstanceProcAddr" => Some(erased(get_instance_proc_addr as GetProcAddr)),
            b"vkGetDeviceProcAddr" => Some(erased(get_device_proc_addr as GetProcAddr)),
            b"vkCreateInstance" => Some(erased(create_instance as CreateInstance)),
            b"vkDestroyInstance" => Some(erased(destroy_instance as Destroy)),
            b"vkCreateDevice" => Some(erased(create_device as CreateDevice)),
            known => {
                if instance.is_null() {
                    return None;
                }
                let Instance { handle, next, .. } = *state().instances.get(&key(instance))?;
                let theirs = next(handle, name)?;
                Some(ours(known).unwrap_or(theirs))
            }
        }
    }
}

unsafe extern "system" fn get_device_proc_addr(
    handle: Dispatchable,
    name: *const c_char,
) -> Option<Function> {
    // SAFETY: `name` is a string, the device is live.
    unsafe {
        let known = CStr::from_ptr(name).to_bytes();
        if known == b"vkGetDeviceProcAddr" {
            return Some(erased(get_device_proc_addr as GetProcAddr));
        }
        let device = device(handle);
        // A function that the driver does not have must not seem to be there.
        let theirs = (device.next)(device.handle, name)?;
        Some(ours(known).unwrap_or(theirs))
    }
}

/// The functions of a device that this layer stands before.
fn ours(name: &[u8]) -> Option<Function> {
    Some(match name {
        b"vkDestroyDevice" => erased(destroy_device as Destroy),
        b"vkQueueSubmit" => erased(queue_submit as Submit),
        b"vkQueueSubmit2" => erased(queue_submit_2 as Submit),
        b"vkQueueSubmit2KHR" => erased(queue_submit_2_khr as Submit),
        b"vkQueueWaitIdle" => erased(queue_wait_idle as WaitIdle),
        b"vkDeviceWaitIdle" => erased(device_wait_idle as WaitIdle),
        b"vkWaitSemaphores" => erased(wait_semaphores as WaitSemaphores),
        b"vkWaitSemaphoresKHR" => erased(wait_semaphores_khr as WaitSemaphores),
        b"vkGetSemaphoreCounterValue" => erased(counter_value as CounterValue),
        b"vkGetSemaphoreCounterValueKHR" => erased(counter_value_khr as CounterValue),
        b"vkWaitForFences" => erased(wait_for_fences as WaitForFences),
        b"vkGetFenceStatus" => erased(fence_status as FenceStatus),
        b"vkAllocateMemory" => erased(allocate_memory as AllocateMemory),
        b"vkFreeMemory" => erased(free_memory as FreeMemory),
        _ => return None,
    })
}

/// A function as the loader takes it: whoever calls it gives it the type of its name again.
fn erased<F: Copy>(function: F) -> Function {
    const { assert!(size_of::<F>() == size_of::<Function>()) };
    // SAFETY: only function pointers come here, and all of them are alike but for their type.
    unsafe { transmute_copy(&function) }
}

unsafe extern "system" fn create_instance(
    info: *const Chained,
    allocator: *const c_void,
    instance: *mut Dispatchable,
) -> Answer {
    // SAFETY: the chain is the loader's, which expects that a layer moves the link on before it calls the next one.
    unsafe {
        let Some(link) = link(info, LOADER_INSTANCE_CREATE_INFO) else { return INITIALIZATION_FAILED };
        let next = (*(*link).link).next_instance_proc;
        (*link).link = (*(*link).link).next;
        let Some(create) = next(null_mut(), c"vkCreateInstance".as_ptr()) else {
            return INITIALIZATION_FAILED;
        };
        let answer = transmute::<Function, CreateInstance>(create)(info, allocator, instance);
        if answer == SUCCESS {
            // Asked for now: once the instance is made, the loader's answer is the first layer's function.
            let destroy = next(*instance, c"vkDestroyInstance".as_ptr()).expect("every instance has it");
            let destroy = transmute::<Function, Destroy>(destroy);
            state().instances.insert(key(*instance), Instance { handle: *instance, next, destroy });
        }
        answer
    }
}

unsafe extern "system" fn destroy_instance(instance: Dispatchable, allocator: *const c_void) {
    // SAFETY: the instance is live or null; its key is read before it is gone.
    unsafe {
        if instance.is_null() {
            return;
        }
        let removed = state().instances.remove(&key(instance));
        (removed.expect("it was created through this layer").destroy)(instance, allocator);
    }
}

unsafe extern "system" fn create_device(
    physical: Dispatchable,
    info: *const Chained,
    allocator: *const c_void,
    created: *mut Dispatchable,
) -> Answer {
    // SAFETY: as for an instance.
    unsafe {
        let Some(link) = link(info, LOADER_DEVICE_CREATE_INFO) else { return INITIALIZATION_FAILED };
        let LayerLink { next: following, next_instance_proc, next_other_proc: Some(next) } = *(*link).link
        else {
            return INITIALIZATION_FAILED;
        };
        (*link).link = following;
        let Some(instance) = state().instances.get(&key(physical)).map(|instance| instance.handle) else {
            return INITIALIZATION_FAILED;
        };
        let Some(create) = next_instance_proc(instance, c"vkCreateDevice".as_ptr()) else {
            return INITIALIZATION_FAILED;
        };
        let answer = transmute::<Function, CreateDevice>(create)(physical, info, allocator, created);
        if answer == SUCCESS {
            let device = Device { handle: *created, next, lost: false };
            state().devices.insert(key(*created), device);
        }
        answer
    }
}

unsafe extern "system" fn destroy_device(handle: Dispatchable, allocator: *const c_void) {
    // SAFETY: the device is live or null; its key is read before it is gone.
    unsafe {
        if handle.is_null() {
            return;
        }
        let destroy: Destroy = next(&device(handle), c"vkDestroyDevice");
        let mut state = state();
        state.devices.remove(&key(handle));
        report(&format!("end: {} submissions, peak {} bytes", state.submissions, state.peak_bytes));
        drop(state);
        destroy(handle, allocator);
    }
}

// ---- A lost device

/// Passes a submission on, or not.
///
/// # Safety
/// As for `vkQueueSubmit`, or whichever `name` is.
unsafe fn submit(
    name: &CStr,
    queue: Dispatchable,
    count: u32,
    batches: *const c_void,
    fence: Handle,
) -> Answer {
    // SAFETY: what came is passed on; a device that is to be lost is live.
    unsafe {
        let device = device(queue);
        if device.lost {
            return DEVICE_LOST;
        }
        let number = {
            let mut state = state();
            state.submissions += 1;
            state.submissions
        };
        if *LOSE_AT == Some(number) {
            lose(&device);
            report(&format!("lost at submission {number}"));
            return DEVICE_LOST;
        }
        if *HANG_AT == Some(number) {
            lose(&device);
            report(&format!("lost while submission {number} ran"));
            return SUCCESS;
        }
        next::<Submit>(&device, name)(queue, count, batches, fence)
    }
}

/// # Safety
/// The device is live.
unsafe fn lose(device: &Device) {
    // SAFETY: the device is live.
    unsafe {
        // A lost device does nothing any more, so what it works on may be destroyed. This one must first stop.
        next::<WaitIdle>(device, c"vkDeviceWaitIdle")(device.handle);
        if let Some(device) = state().devices.get_mut(&key(device.handle)) {
            device.lost = true;
        }
    }
}

/// A function of a device, or of a queue, that says when the device is lost and otherwise does what the next one does.
macro_rules! tells_the_loss {
    ($($function:ident, $name:literal, $kind:ty, ($handle:ident $(, $argument:ident: $type:ty)*);)*) => {$(
        unsafe extern "system" fn $function($handle: Dispatchable $(, $argument: $type)*) -> Answer {
            // SAFETY: the handle is live, and what came is passed on to the function of the same name.
            unsafe {
                let device = device($handle);
                if device.lost {
                    return DEVICE_LOST;
                }
                next::<$kind>(&device, $name)($handle $(, $argument)*)
            }
        }
    )*};
}

tells_the_loss! {
    queue_wait_idle, c"vkQueueWaitIdle", WaitIdle, (queue);
    device_wait_idle, c"vkDeviceWaitIdle", WaitIdle, (handle);
    wait_semaphores, c"vkWaitSemaphores", WaitSemaphores, (handle, info: *const c_void, timeout: u64);
    wait_semaphores_khr, c"vkWaitSemaphoresKHR", WaitSemaphores, (handle, info: *const c_void, timeout: u64);
    counter_value, c"vkGetSemaphoreCounterValue", CounterValue, (handle, semaphore: Handle, value: *mut u64);
    counter_value_khr, c"vkGetSemaphoreCounterValueKHR", CounterValue, (handle, semaphore: Handle, value: *mut u64);
    wait_for_fences, c"vkWaitForFences", WaitForFences,
        (handle, count: u32, fences: *const Handle, all: u32, timeout: u64);
    fence_status, c"vkGetFenceStatus", FenceStatus, (handle, fence: Handle);
}

unsafe extern "system" fn queue_submit(
    queue: Dispatchable,
    count: u32,
    batches: *const c_void,
    fence: Handle,
) -> Answer {
    // SAFETY: what came is passed on.
    unsafe { submit(c"vkQueueSubmit", queue, count, batches, fence) }
}

unsafe extern "system" fn queue_submit_2(
    queue: Dispatchable,
    count: u32,
    batches: *const c_void,
    fence: Handle,
) -> Answer {
    // SAFETY: what came is passed on.
    unsafe { submit(c"vkQueueSubmit2", queue, count, batches, fence) }
}

unsafe extern "system" fn queue_submit_2_khr(
    queue: Dispatchable,
    count: u32,
    batches: *const c_void,
    fence: Handle,
) -> Answer {
    // SAFETY: what came is passed on.
    unsafe { submit(c"vkQueueSubmit2KHR", queue, count, batches, fence) }
}

// ---- Exhausted memory

unsafe extern "system" fn allocate_memory(
    handle: Dispatchable,
    info: *const MemoryAllocateInfo,
    allocator: *const c_void,
    memory: *mut Handle,
) -> Answer {
    // SAFETY: what came is passed on; `memory` holds a handle after success.
    unsafe {
        let allocate: AllocateMemory = next(&device(handle), c"vkAllocateMemory");
        let bytes = (*info).bytes;
        // Held over the call, so that no other thread takes the same room.
        let mut state = state();
        if let Some(most) = *MEMORY
            && state.live_bytes + bytes > most
        {
            report(&format!("refused {bytes} bytes beside {}", state.live_bytes));
            return OUT_OF_DEVICE_MEMORY;
        }
        let answer = allocate(handle, info, allocator, memory);
        if answer == SUCCESS {
            state.live.insert(*memory, bytes);
            state.live_bytes += bytes;
            state.peak_bytes = state.peak_bytes.max(state.live_bytes);
        }
        answer
    }
}

unsafe extern "system" fn free_memory(handle: Dispatchable, memory: Handle, allocator: *const c_void) {
    // SAFETY: what came is passed on.
    unsafe {
        let free: FreeMemory = next(&device(handle), c"vkFreeMemory");
        // Forgotten first, because the driver may give the same handle again. Null may be freed, too.
        let mut state = state();
        let bytes = state.live.remove(&memory).unwrap_or(0);
        state.live_bytes -= bytes;
        free(handle, memory, allocator);
    }
}
