//! Searches side by side as a picture: a panel a device, a line a strategy,
//! the hypervolume that is still missing after each evaluation.

use plotters::prelude::*;

/// One strategy on one device.
#[derive(Debug, Clone, PartialEq)]
pub struct CourseLine {
    pub strategy: String,
    pub device: String,
    /// Missing share of the exact hypervolume (0 to 1) after 1, 2, ...
    /// evaluations.
    pub missing: Vec<f64>,
}

/// Colours that stay apart for the colour-blind (Okabe and Ito 2008), then
/// greys.
const COLORS: [RGBColor; 10] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(30, 30, 30),
    RGBColor(120, 120, 120),
    RGBColor(170, 170, 170),
    RGBColor(140, 100, 60),
];
const FONT: &str = "Helvetica, Arial, 'DejaVu Sans', sans-serif";
/// Panels are this wide and high, in pixels, and stand in rows of three.
const PANEL: (u32, u32) = (380, 280);
const HEAD: u32 = 64;
/// Shares below this are drawn as this: a logarithmic axis has no zero.
const LEAST: f64 = 1e-4;

/// The picture as an SVG document.
///
/// # Errors
/// When there is nothing to draw, or it cannot be drawn.
pub fn courses_svg(lines: &[CourseLine]) -> Result<String, String> {
    let mut devices: Vec<&str> = Vec::new();
    let mut strategies: Vec<&str> = Vec::new();
    for line in lines.iter().filter(|l| !l.missing.is_empty()) {
        if !devices.contains(&line.device.as_str()) {
            devices.push(&line.device);
        }
        if !strategies.contains(&line.strategy.as_str()) {
            strategies.push(&line.strategy);
        }
    }
    if devices.is_empty() {
        return Err("no search has evaluated anything".into());
    }
    let columns = devices.len().min(3);
    let rows = devices.len().div_ceil(columns);
    let size = (
        (PANEL.0 * columns as u32).max(560),
        HEAD + PANEL.1 * rows as u32,
    );
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(text)?;
        let (head, body) = root.split_vertically(HEAD as i32);
        let color = |strategy: &str| {
            let at = strategies.iter().position(|s| *s == strategy);
            COLORS[at.unwrap_or(0) % COLORS.len()]
        };
        let title = "Hypervolume still missing, median of the seeds";
        head.draw_text(title, &(FONT, 17).into_font().color(&BLACK), (12, 8))
            .map_err(text)?;
        let mut left = 12;
        for strategy in &strategies {
            let mark = PathElement::new(
                vec![(left, 46), (left + 18, 46)],
                color(strategy).stroke_width(2),
            );
            head.draw(&mark).map_err(text)?;
            let font = (FONT, 13).into_font().color(&BLACK);
            head.draw_text(strategy, &font, (left + 23, 38))
                .map_err(text)?;
            left += 40 + 8 * strategy.len() as i32;
        }
        for (panel, device) in body.split_evenly((rows, columns)).iter().zip(&devices) {
            let here: Vec<&CourseLine> = lines.iter().filter(|l| l.device == *device).collect();
            let longest = here.iter().map(|l| l.missing.len()).max().unwrap_or(1);
            let mut chart = ChartBuilder::on(panel)
                .caption(device, (FONT, 15).into_font())
                .margin(8)
                .x_label_area_size(36)
                .y_label_area_size(52)
                .build_cartesian_2d(0f64..longest as f64, (LEAST..1f64).log_scale())
                .map_err(text)?;
            chart
                .configure_mesh()
                .light_line_style(TRANSPARENT)
                .x_desc("evaluations")
                .x_labels(6)
                .x_label_formatter(&|x| format!("{x:.0}"))
                .y_label_formatter(&|y| format!("{} %", percent(*y)))
                .label_style((FONT, 12))
                .draw()
                .map_err(text)?;
            for line in here {
                let points = line.missing.iter().enumerate();
                let points = points.map(|(at, missing)| ((at + 1) as f64, missing.max(LEAST)));
                let style = color(&line.strategy).stroke_width(2);
                chart
                    .draw_series(LineSeries::new(points, style))
                    .map_err(text)?;
            }
        }
        root.present().map_err(text)?;
    }
    Ok(svg)
}

/// A share in per cent without zeros that say nothing.
fn percent(share: f64) -> String {
    let rounded = format!("{:.4}", 100.0 * share);
    rounded.trim_end_matches('0').trim_end_matches('.').into()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_and_device_is_drawn_and_nothing_is_an_error() {
        let line = |strategy: &str, device: &str| CourseLine {
            strategy: strategy.into(),
            device: device.into(),
            missing: vec![0.5, 0.1, 0.0],
        };
        let lines = [
            line("guided", "pixel2"),
            line("random", "pixel2"),
            line("guided", "fpga"),
        ];
        let svg = courses_svg(&lines).unwrap();
        for word in ["guided", "random", "pixel2", "fpga", "0.1 %"] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(!svg.contains("NaN"));
        assert!(courses_svg(&[]).is_err());
    }
}
