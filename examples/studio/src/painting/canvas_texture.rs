//! The texture that the painting is recorded into and the window shows.

use eframe::egui_wgpu::RenderState;
use eframe::{egui, wgpu};

/// A texture of the window's renderer. The renderer forgets it when it is dropped.
pub(super) struct CanvasTexture {
    render: RenderState,
    texture: wgpu::Texture,
    id: egui::TextureId,
}

impl CanvasTexture {
    /// egui blends the bytes as they are: a format with a transfer function would show the painting too dark.
    pub const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

    pub fn new(render: &RenderState, (width, height): (u32, u32)) -> Self {
        let texture = render.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("studio canvas"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: Self::FORMAT,
            usage: wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let id =
            render.renderer.write().register_native_texture(&render.device, &view, wgpu::FilterMode::Linear);
        Self { render: render.clone(), texture, id }
    }

    pub fn texture(&self) -> &wgpu::Texture {
        &self.texture
    }

    pub fn size(&self) -> (u32, u32) {
        (self.texture.width(), self.texture.height())
    }

    /// What egui draws, and its size in pixels.
    pub fn shown(&self) -> (egui::TextureId, egui::Vec2) {
        let (width, height) = self.size();
        (self.id, egui::vec2(width as f32, height as f32))
    }
}

impl Drop for CanvasTexture {
    fn drop(&mut self) {
        self.render.renderer.write().free_texture(&self.id);
    }
}
