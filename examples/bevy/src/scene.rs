//! A framed canvas on a wall, a lamp, and a camera that moves to and fro before it.

use bevy::asset::RenderAssetUsages;
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::prelude::*;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat, TextureUsages};

/// Longer side of the canvas in the room, in metres.
const CANVAS: f32 = 2.4;
/// Width and depth of the frame's mouldings.
const MOULDING: (f32, f32) = (0.14, 0.12);
/// Height of the picture's middle.
const EYE: f32 = 1.7;

/// Puts the scene into the app, and returns the image on the canvas: blank, of this size in pixels.
pub(crate) fn build(app: &mut App, size: (u32, u32), still: bool) -> Handle<Image> {
    let mut canvas = Image::new_fill(
        Extent3d { width: size.0, height: size.1, depth_or_array_layers: 1 },
        TextureDimension::D2,
        &[236, 230, 218, 255],
        TextureFormat::Rgba8UnormSrgb,
        // Painted on the GPU: nothing is kept on the host, which would upload it again over the painting.
        RenderAssetUsages::RENDER_WORLD,
    );
    canvas.texture_descriptor.usage = TextureUsages::TEXTURE_BINDING | TextureUsages::COPY_DST;
    let canvas = app.world_mut().resource_mut::<Assets<Image>>().add(canvas);
    app.insert_resource(ClearColor(Color::BLACK));
    app.insert_resource(GlobalAmbientLight { brightness: 250.0, ..default() });
    let image = canvas.clone();
    app.add_systems(
        Startup,
        move |commands: Commands,
              meshes: ResMut<Assets<Mesh>>,
              materials: ResMut<Assets<StandardMaterial>>| {
            furnish(commands, meshes, materials, image.clone(), size);
        },
    );
    if !still {
        app.add_systems(Update, walk);
    }
    canvas
}

fn furnish(
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<StandardMaterial>>,
    canvas: Handle<Image>,
    size: (u32, u32),
) {
    let scale = CANVAS / size.0.max(size.1) as f32;
    let (width, height) = (size.0 as f32 * scale, size.1 as f32 * scale);
    let (moulding, depth) = MOULDING;

    let mut rough = |color: Color, roughness: f32| {
        materials.add(StandardMaterial { base_color: color, perceptual_roughness: roughness, ..default() })
    };
    let plaster = rough(Color::srgb(0.42, 0.46, 0.50), 0.95);
    let boards = rough(Color::srgb(0.32, 0.20, 0.12), 0.6);
    let gilt = rough(Color::srgb(0.62, 0.44, 0.16), 0.45);
    let painted = materials.add(StandardMaterial {
        base_color_texture: Some(canvas),
        perceptual_roughness: 0.8,
        ..default()
    });

    let mut put = |mesh: Mesh, material: &Handle<StandardMaterial>, place: Vec3| {
        commands.spawn((
            Mesh3d(meshes.add(mesh)),
            MeshMaterial3d(material.clone()),
            Transform::from_translation(place),
        ));
    };
    let middle = Vec3::new(0.0, EYE, 0.0);
    put(Rectangle::new(12.0, 6.0).into(), &plaster, Vec3::new(0.0, 3.0, -depth / 2.0));
    put(Plane3d::default().mesh().size(12.0, 8.0).build(), &boards, Vec3::new(0.0, 0.0, 3.9));
    put(Rectangle::new(width, height).into(), &painted, middle);
    for side in [-1.0, 1.0] {
        let upright = Cuboid::new(moulding, height + 2.0 * moulding, depth);
        put(upright.into(), &gilt, middle + Vec3::X * side * (width + moulding) / 2.0);
        let level = Cuboid::new(width, moulding, depth);
        put(level.into(), &gilt, middle + Vec3::Y * side * (height + moulding) / 2.0);
    }

    commands.spawn((
        SpotLight {
            intensity: 700_000.0,
            color: Color::srgb(1.0, 0.95, 0.86),
            range: 20.0,
            inner_angle: 0.35,
            outer_angle: 0.8,
            shadow_maps_enabled: true,
            ..default()
        },
        Transform::from_xyz(1.2, 4.2, 3.2).looking_at(middle, Vec3::Y),
    ));
    commands.spawn((
        Camera3d::default(),
        // Needs no table, which would be a feature of Bevy's.
        Tonemapping::Reinhard,
        place_at(0.0),
    ));
}

/// Moves the camera to and fro.
fn walk(time: Res<Time>, mut camera: Single<&mut Transform, With<Camera3d>>) {
    **camera = place_at(time.elapsed_secs());
}

/// Where the camera is then, looking at the picture.
fn place_at(seconds: f32) -> Transform {
    let (sin, cos) = (seconds * 0.25).sin_cos();
    let place = Vec3::new(1.6 * sin, EYE + 0.15 * cos, 3.4 - 0.4 * cos);
    Transform::from_translation(place).looking_at(Vec3::new(0.0, EYE, 0.0), Vec3::Y)
}
