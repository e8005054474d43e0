//! Where numbers that are not finite began, and what is left that is good.

use super::planning::{name, plan_activations};
use super::session::{Costs, Transfer, read};
use crate::error::Result;
use crate::gpu::Readback;
use crate::graph::Executable;
use crate::nn::LayerSpec;
use crate::picture::Picture;

/// What became of a transfer whose costs are no finite numbers.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The first place, in the order of the computation, that holds a number which is not finite: the pixels, the
    /// activations of a layer, or a cost.
    pub place: String,
    /// The last picture that is known to have finite costs: the one before the last that was judged.
    pub last_good: Option<Picture>,
}

impl Transfer {
    /// Finds out, after costs that were not finite, where that began, and what the last good picture is. `costs` are
    /// those that were returned. Runs the network again layer by layer.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub async fn diagnose(mut self, costs: &Costs) -> Result<Diagnosis> {
        if let Some(bad) = self.history.bad() {
            self.put_back(bad);
        }
        let place = match self.first_not_finite().await? {
            Some(place) => place,
            None => self.first_cost_not_finite(costs),
        };
        let last_good = match self.history.good() {
            Some(good) => {
                self.put_back(good);
                Some(self.picture().await?)
            }
            None => None,
        };
        Ok(Diagnosis { place, last_good })
    }

    fn put_back(&self, pixels: &[wgpu::Buffer]) {
        let gpu = self.engine.gpu();
        let mut encoder = gpu.encoder("impasto");
        for (from, to) in pixels.iter().zip(self.step.externals().pieces(name::PIXELS)) {
            encoder.copy_buffer_to_buffer(from, 0, &to, 0, from.size());
        }
        gpu.queue().submit([encoder.finish()]);
    }

    /// The first layer whose activations are not all finite, or the pixels.
    async fn first_not_finite(&self) -> Result<Option<String>> {
        if self.pixels().await?.iter().any(|value| !value.is_finite()) {
            return Ok(Some("the pixels".into()));
        }
        let network = self.engine.weights().network();
        let layers = network.layers().iter().take(self.deepest + 1);
        for layer in layers.filter_map(LayerSpec::convolution) {
            let program = plan_activations(network, &layer.name, self.size, &self.engine.limits())?;
            let mut externals = self.step.externals().of(&program);
            self.engine.bind_weights(&program, &mut externals).await?;
            let executable =
                Executable::new(self.engine.gpu(), self.engine.pipelines(), program, externals).await?;
            let kept = executable.kept(0);
            let bytes = kept.iter().map(|(_, _, bytes)| bytes).sum();
            let mut readback = Readback::new(self.engine.gpu(), bytes, 1).await?;
            let mut ticket = None;
            let slices = 0..executable.program().slices.len();
            let mut pace = self.engine.pace(executable.program());
            let last = |encoder: &mut wgpu::CommandEncoder| ticket = Some(readback.copy(encoder, &kept));
            self.engine.run(&executable, &mut pace, slices, |_| (), last).await?;
            let activations: Vec<f32> =
                bytemuck::pod_collect_to_vec(&read(&self.engine, &readback, ticket).await?);
            if activations.iter().any(|value| !value.is_finite()) {
                return Ok(Some(format!("the activations of {}", layer.name)));
            }
        }
        Ok(None)
    }

    /// The first of the costs themselves.
    fn first_cost_not_finite(&self, costs: &Costs) -> String {
        let layers = self.style_layers.iter().zip(&costs.layers);
        let layer = layers.clone().find(|(_, cost)| !cost.is_finite()).map(|(layer, _)| layer);
        match layer {
            Some(layer) => format!("the style cost of {layer}"),
            None if !costs.content.is_finite() => "the content cost".into(),
            None if !costs.style.is_finite() => "the sum of the style costs".into(),
            None => "the sum of the costs".into(),
        }
    }
}
