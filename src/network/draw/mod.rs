//! Drawing a network as an SVG: top to bottom, one box for each operator with
//! its normalisation and activation, tensor shapes on the edges, shortcuts as
//! curves beside the boxes they skip, and a tint that shows where the
//! multiply-accumulates are.

mod group;
pub(crate) mod layout;

use svg::Document;
use svg::node::element::{Group as Layer, Path, Rectangle, Text, Title, path::Data};

use self::group::{Group, groups, title};
use self::layout::{Point, Size, layout};
use super::Network;

const MARGIN: f64 = 24.0;
const HEADER: f64 = 40.0;
const FONT_SIZE: f64 = 12.0;
const LINE: f64 = 16.0;
/// Width of a character over the font's size, for sans-serif fonts. Generous:
/// a box too wide looks better than text that leaves it.
const CHARACTER: f64 = 0.6;

/// What one box shows.
struct Face {
    title: String,
    /// Normalisation and activation.
    tail: String,
    macs: u64,
    params: u64,
    size: Size,
}

/// Draws `network`; equal networks give equal text.
pub fn svg(network: &Network) -> String {
    let groups = groups(network);
    let costs = network.costs();
    let faces: Vec<Face> = groups.iter().map(|g| face(network, g)).collect();
    let sizes: Vec<Size> = faces.iter().map(|f| f.size).collect();
    let edges: Vec<(usize, usize)> = groups
        .iter()
        .enumerate()
        .flat_map(|(to, group)| group.inputs.iter().map(move |from| (*from, to)))
        .collect();
    let layout = layout(&sizes, &edges);

    let shift = |p: Point| Point {
        x: p.x + MARGIN + label_room(network, &groups),
        y: p.y + MARGIN + HEADER,
    };
    let mut lines = Layer::new()
        .set("fill", "none")
        .set("stroke", "#64748b")
        .set("stroke-width", 1.4);
    for (edge, lane) in edges.iter().zip(&layout.lanes) {
        let from = shift(layout.boxes[edge.0]);
        let to = shift(layout.boxes[edge.1]);
        let start = Point {
            y: from.y + sizes[edge.0].height / 2.0,
            ..from
        };
        let end = Point {
            y: to.y - sizes[edge.1].height / 2.0,
            ..to
        };
        let lane: Vec<(Point, Point)> = lane.iter().map(|(a, b)| (shift(*a), shift(*b))).collect();
        lines = lines.add(curve(start, &lane, end));
    }
    let mut boxes = Layer::new().set("text-anchor", "middle");
    let mut labels = Layer::new()
        .set("fill", "#64748b")
        .set("font-size", FONT_SIZE - 2.0)
        .set("text-anchor", "end")
        // A white rim keeps a label readable where a line passes behind it.
        .set("stroke", "white")
        .set("stroke-width", 3.0)
        .set("paint-order", "stroke");
    let heaviest = faces.iter().map(|f| f.macs).max().unwrap_or(0);
    for ((group, face), at) in groups.iter().zip(&faces).zip(&layout.boxes) {
        let at = shift(*at);
        boxes = boxes.add(draw_box(face, at, costs.macs, heaviest));
        let below = Point {
            x: at.x - 6.0,
            y: at.y + face.size.height / 2.0 + 14.0,
        };
        labels = labels.add(text(&network.shape(group.last()).to_string(), below));
    }
    let height = layout.height + 2.0 * MARGIN + HEADER + LINE;
    let header = format!(
        "{} operators · {} multiply-accumulates · {} parameters",
        network.nodes().len() - 1,
        si(costs.macs),
        si(costs.params)
    );
    let width =
        (layout.width + label_room(network, &groups)).max(text_width(&header)) + 2.0 * MARGIN;
    Document::new()
        .set("viewBox", format!("0 0 {width:.0} {height:.0}"))
        .set("width", format!("{width:.0}"))
        .set("height", format!("{height:.0}"))
        .set("font-family", "Helvetica, Arial, 'DejaVu Sans', sans-serif")
        .set("font-size", FONT_SIZE)
        .add(
            Rectangle::new()
                .set("width", "100%")
                .set("height", "100%")
                .set("fill", "white"),
        )
        .add(
            text(
                &header,
                Point {
                    x: MARGIN,
                    y: MARGIN + 4.0,
                },
            )
            .set("fill", "#334155"),
        )
        .add(lines)
        .add(boxes)
        .add(labels)
        .to_string()
}

fn face(network: &Network, group: &Group) -> Face {
    let head = network.node(group.head());
    let title = title(&head.op, head.shape);
    let tail = group.nodes[1..]
        .iter()
        .map(|id| network.node(*id).op.to_string())
        .collect::<Vec<_>>()
        .join(" · ");
    let (mut macs, mut params) = (0, 0);
    for node in group.nodes.iter().map(|id| network.node(*id)) {
        let tally = network.tally(node);
        macs += tally.macs;
        params += tally.params;
    }
    let longest = text_width(&title).max(text_width(&tail));
    let lines = if tail.is_empty() { 1.0 } else { 2.0 };
    Face {
        size: Size {
            width: (longest + 20.0).max(28.0),
            height: lines * LINE + 12.0,
        },
        title,
        tail,
        macs,
        params,
    }
}

/// Shape labels stand to the left of the edges, so the leftmost box may need
/// more room than its own width.
fn label_room(network: &Network, groups: &[Group]) -> f64 {
    groups
        .iter()
        .map(|g| text_width(&network.shape(g.last()).to_string()) - 14.0)
        .fold(0.0, f64::max)
}

/// Estimated width of a text.
fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER * FONT_SIZE
}

fn draw_box(face: &Face, at: Point, total: u64, heaviest: u64) -> Layer {
    let Size { width, height } = face.size;
    let share = face.macs as f64 / total.max(1) as f64;
    let tint = (face.macs as f64 / heaviest.max(1) as f64).sqrt();
    let mut group = Layer::new()
        .add(Title::new(format!(
            "{} {}: {} multiply-accumulates ({:.1} %), {} parameters",
            face.title,
            face.tail,
            si(face.macs),
            100.0 * share,
            si(face.params)
        )))
        .add(
            Rectangle::new()
                .set("x", round(at.x - width / 2.0))
                .set("y", round(at.y - height / 2.0))
                .set("width", round(width))
                .set("height", round(height))
                .set("rx", if width <= 30.0 { 14.0 } else { 6.0 })
                .set("fill", blend(tint))
                .set("stroke", "#334155"),
        );
    let first_line = if face.tail.is_empty() {
        at.y + 4.0
    } else {
        at.y - LINE / 2.0 + 4.0
    };
    group = group.add(
        text(
            &face.title,
            Point {
                x: at.x,
                y: first_line,
            },
        )
        .set("fill", "#0f172a"),
    );
    if !face.tail.is_empty() {
        let second = Point {
            x: at.x,
            y: first_line + LINE,
        };
        group = group.add(text(&face.tail, second).set("fill", "#475569"));
    }
    group
}

/// From box to box: vertical at both ends and along its lane, bent between.
pub(crate) fn curve(start: Point, lane: &[(Point, Point)], end: Point) -> Path {
    let mut data = Data::new().move_to((round(start.x), round(start.y)));
    let mut at = start;
    let arrow = Point {
        y: end.y - 5.0,
        ..end
    };
    let stops = lane.iter().copied().chain([(arrow, arrow)]);
    for (enter, leave) in stops {
        let middle = round((at.y + enter.y) / 2.0);
        data = data.cubic_curve_to((
            (round(at.x), middle),
            (round(enter.x), middle),
            (round(enter.x), round(enter.y)),
        ));
        if leave.y > enter.y {
            data = data.line_to((round(leave.x), round(leave.y)));
        }
        at = leave;
    }
    // The arrow's head.
    data = data
        .move_to((round(end.x - 3.5), round(end.y - 6.0)))
        .line_to((round(end.x), round(end.y)))
        .line_to((round(end.x + 3.5), round(end.y - 6.0)));
    Path::new().set("d", data)
}

fn text(content: &str, at: Point) -> Text {
    Text::new(content)
        .set("x", round(at.x))
        .set("y", round(at.y))
}

/// From white to orange.
fn blend(amount: f64) -> String {
    let channel = |to: f64| (255.0 + amount * (to - 255.0)).round() as u8;
    format!(
        "#{:02x}{:02x}{:02x}",
        channel(251.0),
        channel(146.0),
        channel(60.0)
    )
}

/// A tenth of a pixel is enough and keeps the file short.
pub(crate) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A count with three figures and a decimal prefix.
fn si(count: u64) -> String {
    let value = count as f64;
    let (value, unit) = match count {
        0..1_000 => return count.to_string(),
        1_000..1_000_000 => (value / 1e3, " k"),
        1_000_000..1_000_000_000 => (value / 1e6, " M"),
        _ => (value / 1e9, " G"),
    };
    let digits = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests;
