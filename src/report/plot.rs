//! Accuracy against latency as a picture: every candidate, the front with its
//! prediction intervals, and what the device measured. The SVG stands alone
//! and names only generic fonts, so that it looks alike in a README and in a
//! paper.

use std::collections::HashSet;

use miette::Diagnostic;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use thiserror::Error;

use super::scale::Axis;
use super::units::ms_text;
use crate::store::{FrontMember, RunState};

/// Shape of the latency axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AxisScale {
    /// Logarithmic where the latencies span more than 8 times.
    #[default]
    Auto,
    Linear,
    Log,
}

/// What to draw and how large.
#[derive(Debug, Clone, PartialEq)]
pub struct PlotOptions {
    pub width: u32,
    pub height: u32,
    pub latency_axis: AxisScale,
    /// Marks this latency with a dashed line.
    pub max_latency_ms: Option<f64>,
}

impl Default for PlotOptions {
    fn default() -> Self {
        PlotOptions {
            width: 960,
            height: 600,
            latency_axis: AxisScale::Auto,
            max_latency_ms: None,
        }
    }
}

/// Why there is no plot.
#[derive(Debug, Error, Diagnostic)]
pub enum PlotError {
    #[error("run {run} has nothing to plot: no candidate has been evaluated")]
    #[diagnostic(
        code(bespoke::report::nothing),
        help("wait for its first evaluation; `bespoke runs show {run}` says how far it is")
    )]
    Nothing { run: String },
    #[error("the plot cannot be drawn: {0}")]
    #[diagnostic(
        code(bespoke::report::draw),
        help("give it more room: at least 400 by 300")
    )]
    Draw(String),
}

const INK: RGBColor = RGBColor(33, 43, 54);
const MUTED: RGBColor = RGBColor(99, 110, 123);
const GRID: RGBColor = RGBColor(231, 235, 239);
const CANDIDATE: RGBColor = RGBColor(148, 160, 173);
const FRONT: RGBColor = RGBColor(22, 93, 168);
const MEASURED: RGBColor = RGBColor(214, 90, 24);
const FONT: &str = "Helvetica, Arial, 'DejaVu Sans', sans-serif";

/// Drawing units in a pixel: the backend only draws at whole units, which
/// would shift points by up to half a pixel.
const FINE: i32 = 4;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), String>;

/// The plot of a run as an SVG document.
pub fn front_svg(state: &RunState, options: &PlotOptions) -> Result<String, PlotError> {
    let front = state.front();
    if front.is_empty() {
        return Err(PlotError::Nothing {
            run: state.id.to_string(),
        });
    }
    if options.width < 400 || options.height < 300 {
        let size = format!("{} by {} pixels are too few", options.width, options.height);
        return Err(PlotError::Draw(size));
    }
    let size = (options.width * FINE as u32, options.height * FINE as u32);
    let mut svg = String::new();
    draw(&mut svg, size, state, &front, options).map_err(PlotError::Draw)?;
    Ok(finish(svg, size, options, state))
}

/// Sets the size in pixels and gives the picture a title for screen readers.
fn finish(svg: String, size: (u32, u32), options: &PlotOptions, state: &RunState) -> String {
    let drawn = format!("width=\"{}\" height=\"{}\"", size.0, size.1);
    let shown = format!(
        "role=\"img\" width=\"{}\" height=\"{}\"",
        options.width, options.height
    );
    let title: String = title(state)
        .chars()
        .filter(|c| !c.is_control())
        .map(|c| match c {
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '&' => "&amp;".to_owned(),
            other => other.to_string(),
        })
        .collect();
    let svg = svg.replacen(&drawn, &shown, 1);
    svg.replacen(">\n", &format!(">\n<title>{title}</title>\n"), 1)
}

fn title(state: &RunState) -> String {
    format!("{}: accuracy against latency", state.header.name)
}

fn subtitle(state: &RunState) -> String {
    let header = &state.header;
    format!(
        "{} candidates on {} · {} on {} · run {}",
        state.evaluated().count(),
        header.dataset_name,
        header.engine,
        header.device,
        state.id
    )
}

/// The latency axis over everything that is drawn.
fn latency_axis(state: &RunState, front: &[FrontMember<'_>], options: &PlotOptions) -> Axis {
    let points = state.evaluated().map(|e| e.latency_ms);
    let intervals = front.iter().flat_map(|m| {
        let e = m.evaluated;
        let measured = m.measured.map(|m| m.median_ms);
        [Some(e.latency_low_ms), Some(e.latency_high_ms), measured]
    });
    let all: Vec<f64> = points
        .chain(intervals.flatten())
        .chain(options.max_latency_ms)
        .filter(|x| x.is_finite())
        .collect();
    let (low, high) = extent(&all);
    let wants_log = match options.latency_axis {
        AxisScale::Auto => high > 8.0 * low,
        AxisScale::Linear => false,
        AxisScale::Log => true,
    };
    match wants_log && low > 0.0 {
        true => Axis::log(low, high),
        false => Axis::linear(low, high, 8),
    }
}

fn extent(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (low, high)
}

fn draw(
    svg: &mut String,
    size: (u32, u32),
    state: &RunState,
    front: &[FrontMember<'_>],
    options: &PlotOptions,
) -> Drawn {
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let (head, body) = root.split_vertically(106 * FINE);
    let has_measured = front.iter().any(|m| m.measured.is_some());
    draw_head(&head, state, has_measured)?;

    let x = latency_axis(state, front, options);
    let accuracies: Vec<f64> = state.evaluated().map(|e| 100.0 * e.accuracy).collect();
    let (low, high) = extent(&accuracies);
    let y = Axis::linear(low, high, 7);
    let scale_note = if x.is_log { ", logarithmic" } else { "" };

    let mut chart = ChartBuilder::on(&body)
        .margin_left(12 * FINE)
        .margin_right(28 * FINE)
        .margin_bottom(10 * FINE)
        .x_label_area_size(56 * FINE)
        .y_label_area_size(66 * FINE)
        .build_cartesian_2d(x, y)
        .map_err(text)?;
    chart
        .configure_mesh()
        .bold_line_style(GRID.stroke_width(FINE as u32))
        .light_line_style(TRANSPARENT)
        .axis_style(MUTED.stroke_width(FINE as u32))
        .set_all_tick_mark_size(5 * FINE)
        .label_style((FONT, 16 * FINE).into_font().color(&MUTED))
        .axis_desc_style((FONT, 18 * FINE).into_font().color(&INK))
        .x_desc(format!("Latency (ms{scale_note})"))
        .y_desc("Validation accuracy (%)")
        .draw()
        .map_err(text)?;

    let area = chart.plotting_area();
    let at = |latency_ms: f64, accuracy: f64| area.map_coordinate(&(latency_ms, 100.0 * accuracy));
    let (columns, rows) = area.get_pixel_range();
    // Coordinates are the whole picture's from here on.
    let canvas = &root;

    if let Some(limit) = options.max_latency_ms {
        let (column, _) = at(limit, 0.0);
        let dash = 6 * FINE;
        for top in (rows.start..rows.end).step_by(2 * dash as usize) {
            let bottom = (top + dash).min(rows.end);
            line(
                canvas,
                vec![(column, top), (column, bottom)],
                INK.mix(0.6),
                1.5,
            )?;
        }
        let label = format!("limit {} ms", ms_text(limit));
        let place = (column + 6 * FINE, rows.start + 4 * FINE);
        write(canvas, &label, place, 14, &INK, HPos::Left, false)?;
    }

    // Many candidates fall on the same pixel; one dot says as much as many.
    let mut drawn = HashSet::new();
    for evaluated in state.evaluated() {
        let (column, row) = at(evaluated.latency_ms, evaluated.accuracy);
        if drawn.insert((column / FINE, row / FINE)) {
            dot(canvas, (column, row), 3.5, CANDIDATE.mix(0.6))?;
        }
    }

    // What is attainable: no more accuracy than this within a latency.
    let mut stairs = Vec::new();
    for (index, member) in front.iter().enumerate() {
        let here = at(member.evaluated.latency_ms, member.evaluated.accuracy);
        let (_, below) = stairs.last().copied().unwrap_or((0, rows.end));
        stairs.extend([(here.0, below), here]);
        if index + 1 == front.len() {
            stairs.push((columns.end, here.1));
        }
    }
    line(canvas, stairs, FRONT.mix(0.45), 1.5)?;

    for member in front {
        let e = member.evaluated;
        let (left, row) = at(e.latency_low_ms, e.accuracy);
        let (right, _) = at(e.latency_high_ms, e.accuracy);
        whisker(canvas, left, right, row, FRONT.mix(0.75))?;
    }
    for member in front {
        let here = at(member.evaluated.latency_ms, member.evaluated.accuracy);
        dot(canvas, here, 6.0, WHITE.mix(1.0))?;
        dot(canvas, here, 4.5, FRONT.mix(1.0))?;
    }
    for member in front {
        if let Some(measured) = member.measured {
            diamond(canvas, at(measured.median_ms, member.evaluated.accuracy))?;
        }
    }
    root.present().map_err(text)
}

/// Title, what the run is, and the legend in a line above the axes, where it
/// cannot cover a point.
fn draw_head(head: &Area<'_>, state: &RunState, has_measured: bool) -> Drawn {
    let left = 30 * FINE;
    write(
        head,
        &title(state),
        (left, 18 * FINE),
        24,
        &INK,
        HPos::Left,
        true,
    )?;
    write(
        head,
        &subtitle(state),
        (left, 50 * FINE),
        16,
        &MUTED,
        HPos::Left,
        false,
    )?;
    let row = 88 * FINE;
    let text_row = row - 7 * FINE;
    let mut column = left;
    // Widths are guesses at 13 px Helvetica; the text itself never overlaps
    // as the gaps are generous.
    let mut entry = |label: &str, width: i32, mark: &dyn Fn(i32) -> Drawn| -> Drawn {
        mark(column)?;
        write(
            head,
            label,
            (column + 34 * FINE, text_row),
            16,
            &INK,
            HPos::Left,
            false,
        )?;
        column += width * FINE;
        Ok(())
    };
    entry("candidate", 130, &|c| {
        dot(head, (c + 14 * FINE, row), 3.5, CANDIDATE.mix(0.8))
    })?;
    entry("front, predicted with its interval", 268, &|c| {
        whisker(head, c, c + 28 * FINE, row, FRONT.mix(0.75))?;
        dot(head, (c + 14 * FINE, row), 4.5, FRONT.mix(1.0))
    })?;
    match has_measured {
        true => entry("front, measured", 160, &|c| {
            diamond(head, (c + 14 * FINE, row))
        }),
        false => Ok(()),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn line(area: &Area<'_>, points: Vec<(i32, i32)>, color: RGBAColor, width_px: f64) -> Drawn {
    let style = color.stroke_width((width_px * f64::from(FINE)) as u32);
    area.draw(&PathElement::new(points, style)).map_err(text)
}

fn dot(area: &Area<'_>, center: (i32, i32), radius_px: f64, color: RGBAColor) -> Drawn {
    let radius = radius_px * f64::from(FINE);
    area.draw(&Circle::new(center, radius as i32, color.filled()))
        .map_err(text)
}

fn whisker(area: &Area<'_>, left: i32, right: i32, row: i32, color: RGBAColor) -> Drawn {
    let tip = 4 * FINE;
    line(area, vec![(left, row), (right, row)], color, 1.5)?;
    [left, right]
        .into_iter()
        .try_for_each(|c| line(area, vec![(c, row - tip), (c, row + tip)], color, 1.5))
}

/// Hollow, so that a prediction in the same place still shows.
fn diamond(area: &Area<'_>, (column, row): (i32, i32)) -> Drawn {
    let radius = 8 * FINE;
    let corners = vec![
        (column - radius, row),
        (column, row - radius),
        (column + radius, row),
        (column, row + radius),
        (column - radius, row),
        (column, row - radius),
    ];
    line(area, corners, MEASURED.mix(1.0), 2.0)
}

fn write(
    area: &Area<'_>,
    label: &str,
    place: (i32, i32),
    size: i32,
    color: &RGBColor,
    anchor: HPos,
    bold: bool,
) -> Drawn {
    let style = if bold {
        FontStyle::Bold
    } else {
        FontStyle::Normal
    };
    let font = (FONT, size * FINE, style).into_font().color(color);
    let font = font.pos(Pos::new(anchor, VPos::Top));
    // XML has no place for control characters.
    let label: String = label.chars().filter(|c| !c.is_control()).collect();
    area.draw_text(&label, &font, place).map_err(text)
}

#[cfg(test)]
#[path = "plot_tests.rs"]
mod tests;
