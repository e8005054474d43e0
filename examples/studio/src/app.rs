//! The window: its parts, and what happens when somebody uses them.

use std::path::PathBuf;
use std::time::Duration;

use eframe::egui::{
    CentralPanel, Context, Frame, Key, Margin, Modifiers, Panel, Rect, RichText, Ui, ViewportCommand,
};
use impasto::transfer::Init;

use crate::files::{self, Answer as Asked, Dialog, Purpose};
use crate::mask_editor::MaskEditor;
use crate::messages::{self, Answer, Save};
use crate::notice::Notice;
use crate::options_panel::{self, Facts};
use crate::painting::{Event, Ingredients, Painting, Question, Status};
use crate::pictures::{MaskRole, Pictures, Role};
use crate::settings::Settings;
use crate::{canvas, cards, cost_plot, theme, transport};

/// What somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Open(Role),
    RemoveStyle(usize),
    PaintMask(MaskRole),
    RemoveMask(MaskRole),
    Swap,
    Start,
    Pause(bool),
    Save,
}

/// The whole program.
pub struct Studio {
    settings: Settings,
    pictures: Pictures,
    painting: Painting,
    notice: Option<Notice>,
    dialog: Option<Dialog>,
    /// The file's name while it is asked for.
    save_as: Option<String>,
    /// The painting was saved here last, and is so again.
    saved: Option<PathBuf>,
    /// Dropped files whose role is asked for.
    dropped: Vec<PathBuf>,
    /// The mask that is painted on the canvas.
    editor: Option<MaskEditor>,
    /// Where the cards were in the last frame.
    cards: [(Role, Rect); 2],
    closing: Closing,
}

/// How far the end of the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    Asked,
    /// After the painting is saved.
    Saving,
    Yes,
}

/// What files are for that come together: the photograph first, then the styles.
fn roles() -> impl Iterator<Item = Role> {
    std::iter::once(Role::Content).chain((0..).map(Role::Style))
}

impl Studio {
    /// `None` without a graphics device. `files` are the photograph and the styles.
    pub fn new(creation: &eframe::CreationContext<'_>, files: &[PathBuf]) -> Option<Self> {
        let context = &creation.egui_ctx;
        theme::set(context);
        let painting = Painting::new(context, creation.wgpu_render_state.as_ref()?);
        let mut pictures = Pictures::default();
        for (file, role) in files.iter().zip(roles()) {
            pictures.load(context, role, file.clone());
        }
        let settings = Settings { frame_budget: painting.usual_budget(), ..Settings::default() };
        Some(Self {
            settings,
            pictures,
            painting,
            notice: None,
            dialog: None,
            save_as: None,
            saved: None,
            dropped: Vec::new(),
            editor: None,
            cards: [(Role::Content, Rect::NOTHING), (Role::Style(0), Rect::NOTHING)],
            closing: Closing::No,
        })
    }

    /// Whether everything is there that a painting is made of.
    fn ready(&self) -> bool {
        self.ingredients().is_some()
    }

    fn ingredients(&self) -> Option<Ingredients> {
        self.pictures.ingredients(self.settings.options.init == Init::Picture)
    }

    /// What was read, dropped, chosen and painted since the last frame.
    fn update(&mut self, context: &Context) {
        let (new, failure) = self.pictures.update(context);
        self.notice = failure.or(self.notice.take());
        if new.contains(&Role::Start) {
            self.settings.options.init = Init::Picture;
        }
        let ingredients = self.ingredients();
        for event in self.painting.frame(&self.settings, ingredients.as_ref()) {
            match event {
                Event::Notice(notice) => {
                    self.notice = Some(notice);
                    if self.closing == Closing::Saving {
                        self.closing = Closing::No;
                    }
                }
                Event::Saved(path) => {
                    self.notice = Some(Notice::done("The painting is saved", path.display().to_string()));
                    self.saved = Some(path);
                    if self.closing == Closing::Saving {
                        self.closing = Closing::Yes;
                        context.send_viewport_cmd(ViewportCommand::Close);
                    }
                }
            }
        }
        self.watch_dialog(context);
        match ingredients {
            Some(ingredients) => {
                let (settings, pictures) = (self.settings.clone(), ingredients.layouts());
                self.painting.estimate.ask(Question { settings, pictures });
            }
            None => self.painting.estimate.forget(),
        }
    }

    fn watch_dialog(&mut self, context: &Context) {
        let Some(mut dialog) = self.dialog.take() else { return };
        match dialog.poll() {
            Asked::Open => self.dialog = Some(dialog),
            Asked::Chosen(Purpose::Open(role), path) => self.pictures.load(context, role, path),
            Asked::Chosen(Purpose::Save, path) => self.save_as = Some(path.display().to_string()),
            Asked::Cancelled => {}
            Asked::Missing(notice) => self.notice = Some(notice),
        }
    }

    /// Dropped files: the first fills the empty place or the card under the mouse; several are the photograph and its styles.
    fn drops(&mut self, context: &Context) {
        let (files, mouse) = context.input(|input| {
            let files: Vec<PathBuf> =
                input.raw.dropped_files.iter().map(|file| file.path().to_owned()).collect();
            (files, input.pointer.latest_pos())
        });
        if files.len() > 1 {
            for (file, role) in files.into_iter().zip(roles()) {
                self.pictures.load(context, role, file);
            }
            return;
        }
        let Some(file) = files.into_iter().next() else { return };
        let card = self.cards.iter().find(|(_, card)| mouse.is_some_and(|mouse| card.contains(mouse)));
        let is_empty = |role: Role| self.pictures.get(role).is_none() && !self.pictures.is_loading(role);
        let empty = [Role::Content, Role::Style(0)].into_iter().find(|role| is_empty(*role));
        match card.map(|(role, _)| *role).or(empty) {
            Some(role) => self.pictures.load(context, role, file),
            None => self.dropped.push(file),
        }
    }

    fn shortcuts(&self, context: &Context, actions: &mut Vec<Action>) {
        let busy = self.save_as.is_some() || !self.dropped.is_empty() || self.closing == Closing::Asked;
        if busy || context.egui_wants_keyboard_input() {
            return;
        }
        let pressed = |modifiers, key| context.input_mut(|input| input.consume_key(modifiers, key));
        if pressed(Modifiers::COMMAND, Key::Enter) && self.ready() {
            actions.push(Action::Start);
        }
        if pressed(Modifiers::COMMAND, Key::S) && self.painting.has_picture() {
            actions.push(Action::Save);
        }
        if pressed(Modifiers::COMMAND, Key::O) {
            actions.push(Action::Open(Role::Content));
        }
        if pressed(Modifiers::NONE, Key::Space) {
            match self.painting.status() {
                Status::Painting | Status::Measuring => actions.push(Action::Pause(true)),
                Status::Paused => actions.push(Action::Pause(false)),
                _ => {}
            }
        }
    }

    fn carry_out(&mut self, context: &Context, frame: &eframe::Frame, action: Action) {
        match action {
            Action::Open(role) if self.dialog.is_none() => {
                self.dialog = Some(Dialog::open(context, frame, role));
            }
            Action::Open(_) => {}
            Action::Swap => self.pictures.swap(),
            Action::RemoveStyle(index) => {
                // Numbers of styles change.
                self.editor = None;
                self.pictures.remove_style(index);
            }
            Action::PaintMask(role) => self.editor = Some(MaskEditor::new(role)),
            Action::RemoveMask(role) => self.pictures.remove_mask(role),
            Action::Start => self.start(),
            Action::Pause(paused) => self.painting.pause(paused),
            Action::Save => {
                let proposal = self.saved.clone().unwrap_or_else(|| self.proposal());
                self.save_as = Some(proposal.display().to_string());
            }
        }
    }

    fn start(&mut self) {
        if let Some(ingredients) = self.ingredients() {
            (self.notice, self.saved, self.editor) = (None, None, None);
            self.painting.start(ingredients, &self.settings);
        }
    }

    fn proposal(&self) -> PathBuf {
        let path = |role| self.pictures.get(role).map(|loaded| loaded.path.as_path());
        files::proposal(path(Role::Content), path(Role::Style(0)))
    }

    /// Questions that lie over the window.
    fn questions(&mut self, context: &Context, frame: &eframe::Frame) {
        if let Some(file) = self.dropped.first() {
            match messages::ask_role(context, file, self.pictures.styles()) {
                Some(Answer::Chosen(role)) => {
                    let file = self.dropped.remove(0);
                    self.pictures.load(context, role, file);
                }
                Some(Answer::Cancelled) => {
                    self.dropped.remove(0);
                }
                None => {}
            }
        }
        if let Some(path) = &mut self.save_as {
            match messages::ask_path(context, path) {
                Some(Answer::Chosen(Save::Browse)) if self.dialog.is_none() => {
                    self.dialog = Some(Dialog::save(context, frame, path.as_ref()));
                }
                Some(Answer::Chosen(Save::Write(path))) => self.write(path),
                Some(Answer::Cancelled) => {
                    self.save_as = None;
                    self.closing = Closing::No;
                }
                Some(Answer::Chosen(Save::Browse)) | None => {}
            }
        }
        if context.input(|input| input.viewport().close_requested()) {
            let saving = self.painting.status() == Status::Saving;
            if self.closing != Closing::Yes && (self.painting.is_unsaved() || saving) {
                context.send_viewport_cmd(ViewportCommand::CancelClose);
                self.closing = Closing::Asked;
            }
        }
        if self.closing == Closing::Asked {
            match messages::ask_close(context) {
                Some(Answer::Chosen(true)) => {
                    self.closing = Closing::Saving;
                    self.save_as = Some(self.proposal().display().to_string());
                }
                Some(Answer::Chosen(false)) => {
                    self.closing = Closing::Yes;
                    context.send_viewport_cmd(ViewportCommand::Close);
                }
                Some(Answer::Cancelled) => self.closing = Closing::No,
                None => {}
            }
        }
        if context.input(|input| !input.raw.hovered_files.is_empty()) {
            messages::drop_here(context);
        }
    }

    fn write(&mut self, path: PathBuf) {
        match files::format_of(&path) {
            Ok(format) => {
                self.save_as = None;
                self.painting.save(path, format);
            }
            // The field stays, with the message behind it.
            Err(notice) => self.notice = Some(notice),
        }
    }

    /// The labels of what only a new start can bring into the painting.
    fn waiting(&self) -> Vec<String> {
        self.painting.waiting(&self.settings, self.ingredients().as_ref())
    }

    fn left_column(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        ui.label(RichText::new("impasto studio").heading().strong());
        ui.add_space(4.0);
        self.cards = cards::show(ui, &self.pictures, actions);
        ui.add_space(6.0);
        let facts = Facts {
            running: self.painting.options(),
            waiting: self.waiting(),
            adapter: self.painting.adapter(),
            frame_times: self.painting.frame_times.summary(),
        };
        options_panel::show(ui, &mut self.settings, &mut self.pictures, &facts, actions);
    }

    fn right_column(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let frame = Frame::side_top_panel(ui.style()).inner_margin(Margin::symmetric(14, 10));
        Panel::bottom("transport").frame(frame).show(ui, |ui| {
            transport::show(ui, &self.painting, &self.waiting(), self.ready(), actions);
        });
        let frame = Frame::side_top_panel(ui.style()).inner_margin(Margin::symmetric(10, 6));
        Panel::bottom("costs").frame(frame).resizable(true).default_size(170.0).show(ui, |ui| {
            cost_plot::show(ui, &self.painting.curve);
        });
        let refusal = match self.painting.estimate.answer() {
            Some(Err(refusal)) => Some(refusal),
            _ => None,
        };
        if self.notice.is_some() || refusal.is_some() {
            Panel::top("notices").show(ui, |ui| {
                if let Some(refusal) = refusal {
                    messages::notice(ui, refusal);
                }
                if self.notice.as_ref().is_some_and(|notice| messages::notice(ui, notice)) {
                    self.notice = None;
                }
            });
        }
        CentralPanel::no_frame().show(ui, |ui| {
            if let Some(editor) = &mut self.editor {
                if editor.show(ui, &mut self.pictures) {
                    self.editor = None;
                }
                return;
            }
            let painting = self.painting.picture().filter(|_| self.painting.has_picture());
            canvas::show(ui, painting, &self.pictures, actions);
        });
    }
}

impl eframe::App for Studio {
    /// Runs while the window is hidden, too: the painting goes on.
    fn logic(&mut self, context: &Context, _frame: &mut eframe::Frame) {
        self.update(context);
        // Nothing else wakes a thread's result up that came between two frames.
        if self.dialog.is_some() {
            context.request_repaint_after(Duration::from_millis(200));
        }
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        let context = ui.ctx().clone();
        let mut actions = Vec::new();
        self.drops(&context);
        self.shortcuts(&context, &mut actions);
        let margin = Frame::side_top_panel(ui.style()).inner_margin(Margin::symmetric(14, 12));
        Panel::left("options").frame(margin).resizable(false).exact_size(372.0).show(ui, |ui| {
            self.left_column(ui, &mut actions);
        });
        CentralPanel::no_frame().show(ui, |ui| self.right_column(ui, &mut actions));
        self.questions(&context, frame);
        for action in actions {
            self.carry_out(&context, frame, action);
        }
    }
}
