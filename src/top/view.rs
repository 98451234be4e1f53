//! One frame: what the run is and how far, its front as a scatter, the front's
//! members, and what happened lately. Fits 80 by 24, uses what there is.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Axis, Block, Borders, Cell, Chart, Dataset, GraphType, LineGauge, Paragraph, Row, Table,
};

use crate::report::{
    EventLine, Followed, FrontRow, duration_text, front_rows, one_line, time_text,
};
use crate::store::RunState;

const KEYS: &str = " q quit ";
const FRONT: Color = Color::Cyan;
const MEASURED: Color = Color::Yellow;
/// Figures beyond this many of a millisecond's decimals say nothing.
const DECIMALS: usize = 3;

pub(super) fn draw(frame: &mut Frame<'_>, followed: &Followed, problem: Option<&str>) {
    let state = &followed.state;
    let rows = front_rows(state);
    let area = frame.area();
    let log = (area.height / 4).clamp(4, 12);
    let [head, gauge, body, events] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(1),
        Constraint::Min(6),
        Constraint::Length(log),
    ])
    .areas(area);
    frame.render_widget(header(state, &rows), head);
    frame.render_widget(progress(state), gauge);
    let [left, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(34)]).areas(body);
    scatter(frame, left, state, &rows);
    frame.render_widget(members(&rows, right), right);
    let lines = followed.lines.iter().rev();
    frame.render_widget(recent(lines, events, problem), events);
}

fn header<'a>(state: &RunState, rows: &[FrontRow]) -> Paragraph<'a> {
    let word = state.status_word();
    let color = match word {
        "running" => Color::Green,
        "finished" => Color::Cyan,
        "failed" => Color::Red,
        _ => Color::Yellow,
    };
    let seconds = (state.last_event_ms - state.created_ms) as f64 / 1000.0;
    let best = state.evaluated().map(|e| e.accuracy).reduce(f64::max);
    let test = rows.iter().filter_map(|r| r.test_accuracy).reduce(f64::max);
    let percent = |fraction: f64| format!("{:.2} %", 100.0 * fraction);
    let failed = state.failures().count();
    let mut figures = vec![
        Span::raw("best "),
        Span::raw(best.map_or("-".into(), percent)).bold(),
    ];
    if let Some(test) = test {
        figures.push(Span::raw(format!(" (test {})", percent(test))));
    }
    figures.push(Span::raw(format!(
        "  front {}  measured {}",
        rows.len(),
        state.measurements.len()
    )));
    let failures = Span::raw(format!("  failed {failed}"));
    figures.push(if failed > 0 { failures.red() } else { failures });
    Paragraph::new(vec![
        Line::from(vec![
            Span::raw(one_line(&state.header.name, 40)).bold(),
            Span::raw(format!("  {}  ", state.id)),
            Span::styled(word, Style::new().fg(color).add_modifier(Modifier::BOLD)),
            Span::raw(
                state
                    .reason
                    .as_deref()
                    .map(|reason| format!(": {}", one_line(reason, 60)))
                    .unwrap_or_default(),
            ),
        ]),
        Line::from(format!(
            "{} on {}, {}, since {} UTC, {}",
            one_line(&state.header.engine, 30),
            one_line(&state.header.device, 30),
            one_line(&state.header.dataset_name, 30),
            time_text(state.created_ms),
            duration_text(seconds)
        ))
        .dim(),
        Line::from(figures),
    ])
}

/// Evaluations against the budget, each counted by its fidelity.
fn progress<'a>(state: &RunState) -> LineGauge<'a> {
    let done = state.evaluated().count();
    let failed = state.failures();
    let spent: f64 = state.evaluated().map(|e| e.fidelity).sum::<f64>()
        + failed.map(|(c, _)| c.fidelity).sum::<f64>();
    let budget = state.header.experiment["evaluations"].as_f64();
    let (ratio, label) = match budget.filter(|budget| *budget > 0.0) {
        Some(budget) => (
            (spent / budget).clamp(0.0, 1.0),
            format!("{done} evaluated of {budget}"),
        ),
        None => (0.0, format!("{done} evaluated")),
    };
    LineGauge::default()
        .ratio(ratio)
        .label(label)
        .filled_style(Style::new().fg(FRONT))
}

/// Accuracy against predicted latency; the latency axis is logarithmic where it
/// spans more than eight times.
fn scatter(frame: &mut Frame<'_>, area: Rect, state: &RunState, rows: &[FrontRow]) {
    let block = Block::new()
        .borders(Borders::TOP)
        .title(" accuracy % against predicted latency ms ");
    let latencies = || state.evaluated().map(|e| e.latency_ms).filter(|x| *x > 0.0);
    let (Some(fast), Some(slow)) = (latencies().reduce(f64::min), latencies().reduce(f64::max))
    else {
        let wait = Paragraph::new("nothing has been evaluated yet").dim();
        frame.render_widget(wait.block(block), area);
        return;
    };
    let is_log = slow / fast > 8.0;
    let along = |x: f64| if is_log { x.log10() } else { x };
    let back = |x: f64| if is_log { 10f64.powf(x) } else { x };
    let point = |x: f64, accuracy: f64| (along(x), 100.0 * accuracy);
    let all: Vec<(f64, f64)> = state
        .evaluated()
        .filter(|e| e.latency_ms > 0.0)
        .map(|e| point(e.latency_ms, e.accuracy))
        .collect();
    let front: Vec<(f64, f64)> = rows
        .iter()
        .map(|row| point(row.predicted_ms, row.accuracy))
        .collect();
    let measured: Vec<(f64, f64)> = rows
        .iter()
        .filter_map(|row| Some(point(row.measured_ms?, row.accuracy)))
        .collect();
    let every = || all.iter().chain(&measured);
    let x = bounds(every().map(|p| p.0));
    let y = bounds(every().map(|p| p.1));
    let set = |points, marker, color| {
        Dataset::default()
            .data(points)
            .marker(marker)
            .graph_type(GraphType::Scatter)
            .style(Style::new().fg(color))
    };
    let sets = vec![
        set(&all, Marker::Braille, Color::Gray),
        set(&measured, Marker::Braille, MEASURED),
        set(&front, Marker::Dot, FRONT),
    ];
    let middle = |[low, high]: [f64; 2]| (low + high) / 2.0;
    let latency = |v: f64| ms(back(v));
    let share = |v: f64| format!("{v:.1}");
    let labels = |axis: [f64; 2], text: &dyn Fn(f64) -> String| {
        vec![text(axis[0]), text(middle(axis)), text(axis[1])]
    };
    let axis = |bounds, labels: Vec<String>| {
        Axis::default()
            .bounds(bounds)
            .labels(labels)
            .style(Style::new().fg(Color::DarkGray))
    };
    let chart = Chart::new(sets)
        .block(block)
        .legend_position(None)
        .x_axis(axis(x, labels(x, &latency)))
        .y_axis(axis(y, labels(y, &share)));
    frame.render_widget(chart, area);
}

/// The extent with a margin, never empty.
fn bounds(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    let margin = match high - low {
        extent if extent > 0.0 => 0.05 * extent,
        _ => (0.1 * high.abs()).max(1e-3),
    };
    [low - margin, high + margin]
}

fn ms(value: f64) -> String {
    let digits = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => DECIMALS,
    };
    format!("{value:.digits$}")
}

/// The front's members, as many as fit, the most accurate first.
fn members<'a>(rows: &[FrontRow], area: Rect) -> Table<'a> {
    let fit = usize::from(area.height.saturating_sub(2));
    let lines = rows.iter().rev().take(fit).map(|row| {
        Row::new(vec![
            Cell::from(format!("{:>6}", row.candidate)),
            Cell::from(format!("{:>6.2}", 100.0 * row.accuracy)).fg(FRONT),
            Cell::from(format!("{:>8}", ms(row.predicted_ms))),
            Cell::from(format!("{:>8}", row.measured_ms.map_or("-".into(), ms))).fg(MEASURED),
        ])
    });
    let more = rows.len().saturating_sub(fit);
    let title = match more {
        0 => format!(" front ({}) ", rows.len()),
        more => format!(" front ({}, {more} not shown) ", rows.len()),
    };
    let widths = [6, 6, 8, 8].map(Constraint::Length);
    Table::new(lines, widths)
        .header(Row::new([" cand.", "val. %", " pred ms", " meas ms"]).dim())
        .block(
            Block::new()
                .borders(Borders::TOP | Borders::LEFT)
                .title(title),
        )
}

/// The latest events, the newest first; a problem of reading before them.
fn recent<'a>(
    lines: impl Iterator<Item = &'a EventLine>,
    area: Rect,
    problem: Option<&str>,
) -> Paragraph<'a> {
    let told = problem.map(|problem| Line::from(one_line(problem, 400)).red());
    let lines = lines.map(|line| {
        let style = match line.kind.as_str() {
            "failed" | "aborted" => Style::new().fg(Color::Red),
            "warning" | "interrupted" => Style::new().fg(Color::Yellow),
            "trained" | "finished" => Style::new().fg(Color::Green),
            _ => Style::new(),
        };
        let seconds = line.at_ms.div_euclid(1000).rem_euclid(86_400);
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        Line::from(vec![
            Span::raw(format!("{h:02}:{m:02}:{s:02} ")).dim(),
            Span::styled(line.text.clone(), style),
        ])
    });
    let fit = usize::from(area.height.saturating_sub(1));
    let shown: Vec<Line<'a>> = told.into_iter().chain(lines).take(fit).collect();
    Paragraph::new(shown).block(
        Block::new()
            .borders(Borders::TOP)
            .title(" events (UTC) ")
            .title(Line::from(KEYS).right_aligned()),
    )
}
