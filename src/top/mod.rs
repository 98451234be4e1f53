//! `bespoke top`: a run on the terminal while it goes on, also over SSH. The
//! view draws what is known of the run; this part reads, waits for keys, and
//! leaves the terminal as it found it.

mod view;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use miette::Diagnostic;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::{Frame, Terminal};
use thiserror::Error;

use crate::report::Followed;
use crate::store::{RunId, Store, StoreError};

/// Columns and lines where nothing else is known.
pub const SIZE: (u16, u16) = (80, 24);
/// Between two looks for keys.
const TICK: Duration = Duration::from_millis(100);

/// Why the run cannot be shown.
#[derive(Debug, Error, Diagnostic)]
pub enum TopError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Store(#[from] StoreError),
    #[error("standard output is no terminal")]
    #[diagnostic(
        code(bespoke::top::no_terminal),
        help("`bespoke top RUN --once` prints one frame instead")
    )]
    NoTerminal,
    #[error("the terminal cannot be used: {0}")]
    #[diagnostic(code(bespoke::top::terminal))]
    Terminal(#[from] std::io::Error),
}

/// Shows a run until a key ends it; reads the database every `period`.
///
/// # Errors
/// When there is no terminal, or the run cannot be read at the beginning.
/// A database that cannot be read for a while later is told on the screen.
pub fn watch(store: &Store, run: &RunId, period: Duration) -> Result<(), TopError> {
    watch_with(view::draw, store, run, period)
}

fn watch_with(
    draw: impl FnMut(&mut Frame, &Followed, Option<&str>),
    store: &Store,
    run: &RunId,
    period: Duration,
) -> Result<(), TopError> {
    if !std::io::stdout().is_terminal() {
        return Err(TopError::NoTerminal);
    }
    let followed = Followed::open(store, run)?;
    // Also restores the terminal should anything panic.
    let mut terminal = ratatui::try_init()?;
    let ended = keep_drawing(&mut terminal, draw, store, followed, period);
    ratatui::restore();
    ended
}

fn keep_drawing(
    terminal: &mut ratatui::DefaultTerminal,
    mut draw: impl FnMut(&mut Frame, &Followed, Option<&str>),
    store: &Store,
    mut followed: Followed,
    period: Duration,
) -> Result<(), TopError> {
    let mut problem = None;
    let mut read = Instant::now();
    loop {
        terminal.draw(|frame| draw(frame, &followed, problem.as_deref()))?;
        loop {
            if event::poll(TICK)? {
                match event::read()? {
                    Event::Key(key) if key.kind != KeyEventKind::Release => {
                        let is_control_c = key.code == KeyCode::Char('c')
                            && key.modifiers.contains(KeyModifiers::CONTROL);
                        if is_control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                            return Ok(());
                        }
                    }
                    Event::Resize(..) => break,
                    _ => {}
                }
            }
            if read.elapsed() >= period {
                problem = followed.advance(store).err().map(|e| e.to_string());
                read = Instant::now();
                break;
            }
        }
    }
}

/// One frame as text, without colours, for scripts.
///
/// # Errors
/// When the run cannot be read.
pub fn once(store: &Store, run: &RunId, (columns, lines): (u16, u16)) -> Result<String, TopError> {
    let followed = Followed::open(store, run)?;
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, lines));
    let Ok(_) = terminal.draw(|frame| view::draw(frame, &followed, None));
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in buffer.content.chunks(usize::from(columns)) {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
