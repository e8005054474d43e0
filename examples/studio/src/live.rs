//! Stand-in for the host interface until it lands.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Condvar};
use eframe::wgpu;
use impasto::picture::Picture;
pub use impasto::transfer::{Costs, Engine, Options};
use impasto::transfer::Plan;
use impasto::{Result, transfer};

pub enum Budget { Milliseconds(f64) }
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase { Weights, Targets, Steps, Done }
pub struct Recorded { pub steps: u32, pub completed: u32, pub work_remains: bool, pub phase: Phase, pub dispatches: u32, pub milliseconds: f64 }

#[derive(Default)]
struct Inner { wanted: u32, done: u32, picture: Option<Picture>, costs: VecDeque<(u32, Costs)>, stop: bool }
pub struct Transfer { shared: Arc<(Mutex<Inner>, Condvar)>, engine: Engine, size: (u32, u32), bytes: impasto::graph::Bytes, told: u32, steps: u32 }
impl Drop for Transfer { fn drop(&mut self) { self.shared.0.lock().unwrap().stop = true; self.shared.1.notify_all(); } }
impl Transfer {
    pub fn plan(engine: &Engine, c: (u32, u32), s: (u32, u32), o: &Options) -> Result<Plan> { transfer::Transfer::plan(engine, c, s, o) }
    pub async fn create(engine: &Engine, content: &Picture, style: &Picture, options: &Options) -> Result<Self> {
        let mut t = transfer::Transfer::prepare(engine, content, style, options).await?;
        let shared = Arc::new((Mutex::new(Inner::default()), Condvar::new()));
        let (size, bytes) = (t.size(), t.bytes());
        shared.0.lock().unwrap().picture = Some(t.picture().await?);
        let s = Arc::clone(&shared);
        std::thread::spawn(move || loop {
            { let mut i = s.0.lock().unwrap();
              while i.wanted <= i.done && !i.stop { i = s.1.wait(i).unwrap(); }
              if i.stop { return } }
            let c = pollster::block_on(t.step()).unwrap();
            let p = pollster::block_on(t.picture()).unwrap();
            let mut i = s.0.lock().unwrap();
            let d = i.done; i.costs.push_back((d, c)); i.done += 1; i.picture = Some(p);
        });
        Ok(Self { shared, engine: engine.clone(), size, bytes, told: 0, steps: options.steps })
    }
    pub fn record(&mut self, _: &mut wgpu::CommandEncoder, _: Budget) -> Result<Recorded> {
        let mut i = self.shared.0.lock().unwrap();
        if i.done < self.steps { i.wanted = i.done + 1; }
        self.shared.1.notify_all();
        let completed = i.done - self.told; self.told = i.done;
        let remains = i.done < self.steps;
        Ok(Recorded { steps: i.done, completed, work_remains: remains, phase: if remains { Phase::Steps } else { Phase::Done }, dispatches: 1, milliseconds: 1.0 })
    }
    pub fn record_picture(&self, _: &mut wgpu::CommandEncoder, texture: &wgpu::Texture) -> Result<()> {
        let p = self.shared.0.lock().unwrap().picture.clone().unwrap();
        self.engine.gpu().queue().write_texture(texture.as_image_copy(), &p.to_rgba(), wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * p.width()), rows_per_image: None }, texture.size());
        Ok(())
    }
    pub fn try_cost(&mut self) -> Option<(u32, Costs)> { self.shared.0.lock().unwrap().costs.pop_front() }
    pub fn set_options(&mut self, o: &Options) -> Result<()> { self.steps = o.steps; Ok(()) }
    pub async fn set_style(&mut self, _: &Picture) -> Result<()> { Ok(()) }
    pub async fn set_content(&mut self, _: &Picture) -> Result<()> { Ok(()) }
    pub fn size(&self) -> (u32, u32) { self.size }
    pub fn bytes(&self) -> impasto::graph::Bytes { self.bytes }
    pub async fn picture(&mut self) -> Result<Picture> { Ok(self.shared.0.lock().unwrap().picture.clone().unwrap()) }
}
