//! Marks on paper: boxes, lines of text and edges, put below, beside and into
//! each other. Text is set in a fixed-width font, so that its width is known and
//! none leaves its box.

use svg::Document;
use svg::node::element::{Group, Rectangle, Text};

use crate::network::draw::layout::Point;
use crate::network::draw::{curve, round};

const FONT: &str = "ui-monospace, Menlo, 'DejaVu Sans Mono', Consolas, 'Courier New', monospace";
const FONT_SIZE: f64 = 12.0;
/// Width of a character over the font's size; fixed-width fonts have 0.55 to
/// 0.602.
const CHARACTER: f64 = 0.61;
const LINE: f64 = 16.0;
const PADDING: f64 = 9.0;
const MARGIN: f64 = 20.0;

/// What a box is, which is how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Op,
    Block,
    Choice,
    /// A join of tensors.
    Join,
    /// Where a tensor comes from.
    End,
    /// The network or a block, from outside.
    Panel,
    Stage,
    Repeat,
    Condition,
    /// An alternative of a choice.
    Option,
}

impl Tone {
    /// Fill, stroke, dashes and radius.
    fn look(self) -> (&'static str, &'static str, &'static str, f64) {
        match self {
            Tone::Op => ("#ffffff", "#475569", "", 5.0),
            Tone::Block => ("#e0f2fe", "#0369a1", "", 5.0),
            Tone::Choice => ("#ffedd5", "#c2410c", "", 5.0),
            Tone::Join => ("#f1f5f9", "#475569", "", 12.0),
            Tone::End => ("#f1f5f9", "#94a3b8", "", 12.0),
            Tone::Panel => ("#ffffff", "#1e293b", "", 8.0),
            Tone::Stage => ("#f8fafc", "#94a3b8", "", 8.0),
            Tone::Repeat => ("#f8fafc", "#64748b", "7 4", 8.0),
            Tone::Condition => ("#ffffff", "#94a3b8", "2 3", 8.0),
            Tone::Option => ("#ffffff", "#fb923c", "", 5.0),
        }
    }
}

/// What a line of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Title,
    Plain,
    Note,
    Choice,
}

/// How an edge is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Always,
    /// Only where a condition holds.
    Conditional,
    /// Only where picked.
    Picked,
}

#[derive(Debug, Clone)]
pub enum Mark {
    Rect {
        at: Point,
        width: f64,
        height: f64,
        tone: Tone,
    },
    /// `at` is the left end of the base line.
    Text {
        at: Point,
        content: String,
        style: Style,
    },
    Edge {
        start: Point,
        lane: Vec<(Point, Point)>,
        end: Point,
        line: Line,
    },
}

/// Marks with the room they take; the origin is the top left corner.
#[derive(Debug, Clone, Default)]
pub struct Figure {
    pub width: f64,
    pub height: f64,
    pub marks: Vec<Mark>,
}

pub fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER * FONT_SIZE
}

impl Figure {
    /// A line of text; spaces before it indent it.
    pub fn line(content: &str, style: Style) -> Figure {
        let bare = content.trim_start();
        let indent = content.chars().count() - bare.chars().count();
        Figure {
            width: text_width(content),
            height: LINE,
            marks: vec![Mark::Text {
                at: Point {
                    x: text_width(&" ".repeat(indent)),
                    y: 12.0,
                },
                content: bare.to_string(),
                style,
            }],
        }
    }

    /// Lines in a box, each in the middle.
    pub fn boxed(lines: &[String], tone: Tone) -> Figure {
        let style = match tone {
            Tone::Choice => Style::Choice,
            _ => Style::Plain,
        };
        let mut figure = Figure::default();
        for line in lines {
            figure.centred(Figure::line(line.trim_start(), style), 0.0);
        }
        figure.padded(PADDING, 6.0).framed(tone)
    }

    pub fn padded(mut self, x: f64, y: f64) -> Figure {
        self.shift(x, y);
        self.width += 2.0 * x;
        self.height += 2.0 * y;
        self
    }

    /// In a frame as large as the figure.
    pub fn framed(mut self, tone: Tone) -> Figure {
        let frame = Mark::Rect {
            at: Point { x: 0.0, y: 0.0 },
            width: self.width,
            height: self.height,
            tone,
        };
        self.marks.insert(0, frame);
        self
    }

    pub fn shift(&mut self, dx: f64, dy: f64) {
        let moved = |p: &mut Point| {
            p.x += dx;
            p.y += dy;
        };
        for mark in &mut self.marks {
            match mark {
                Mark::Rect { at, .. } | Mark::Text { at, .. } => moved(at),
                Mark::Edge {
                    start, lane, end, ..
                } => {
                    moved(start);
                    moved(end);
                    for (a, b) in lane {
                        moved(a);
                        moved(b);
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Puts another below, left edges aligned.
    pub fn below(&mut self, mut other: Figure, gap: f64) {
        let gap = if self.is_empty() { 0.0 } else { gap };
        other.shift(0.0, self.height + gap);
        self.height += gap + other.height;
        self.width = self.width.max(other.width);
        self.marks.append(&mut other.marks);
    }

    /// Puts another below, middles aligned.
    pub fn centred(&mut self, mut other: Figure, gap: f64) {
        let width = self.width.max(other.width);
        self.shift((width - self.width) / 2.0, 0.0);
        other.shift((width - other.width) / 2.0, 0.0);
        self.width = width;
        self.below(other, gap);
    }

    /// Puts another to the right, tops aligned.
    pub fn beside(&mut self, mut other: Figure, gap: f64) {
        if other.is_empty() {
            return;
        }
        let gap = if self.is_empty() { 0.0 } else { gap };
        other.shift(self.width + gap, 0.0);
        self.width += gap + other.width;
        self.height = self.height.max(other.height);
        self.marks.append(&mut other.marks);
    }

    /// Figures in rows of at most `width`, one under the other.
    pub fn rows(figures: Vec<Figure>, width: f64, gap: f64) -> Figure {
        let (mut whole, mut row) = (Figure::default(), Figure::default());
        for figure in figures {
            if !row.is_empty() && row.width + gap + figure.width > width {
                whole.below(std::mem::take(&mut row), gap);
            }
            row.beside(figure, gap);
        }
        whole.below(row, gap);
        whole
    }

    pub fn svg(self) -> String {
        let whole = self.padded(MARGIN, MARGIN);
        let mut layer = Group::new();
        for mark in &whole.marks {
            layer = match mark {
                Mark::Rect {
                    at,
                    width,
                    height,
                    tone,
                } => {
                    let (fill, stroke, dashes, radius) = tone.look();
                    let mut rect = Rectangle::new()
                        .set("x", round(at.x))
                        .set("y", round(at.y))
                        .set("width", round(*width))
                        .set("height", round(*height))
                        .set("rx", radius)
                        .set("fill", fill)
                        .set("stroke", stroke);
                    if !dashes.is_empty() {
                        rect = rect.set("stroke-dasharray", dashes);
                    }
                    layer.add(rect)
                }
                Mark::Text { at, content, style } => {
                    let text = Text::new(content.as_str())
                        .set("x", round(at.x))
                        .set("y", round(at.y));
                    layer.add(match style {
                        Style::Title => text.set("font-weight", "bold"),
                        Style::Plain => text,
                        Style::Note => text.set("fill", "#475569"),
                        Style::Choice => text.set("fill", "#9a3412"),
                    })
                }
                Mark::Edge {
                    start,
                    lane,
                    end,
                    line,
                } => {
                    let path = curve(*start, lane, *end)
                        .set("fill", "none")
                        .set("stroke-width", 1.4);
                    layer.add(match line {
                        Line::Always => path.set("stroke", "#64748b"),
                        Line::Conditional => {
                            path.set("stroke", "#64748b").set("stroke-dasharray", "5 3")
                        }
                        Line::Picked => {
                            path.set("stroke", "#c2410c").set("stroke-dasharray", "5 3")
                        }
                    })
                }
            };
        }
        Document::new()
            .set(
                "viewBox",
                format!("0 0 {:.0} {:.0}", whole.width, whole.height),
            )
            .set("width", format!("{:.0}", whole.width))
            .set("height", format!("{:.0}", whole.height))
            .set("font-family", FONT)
            .set("font-size", FONT_SIZE)
            .set("fill", "#0f172a")
            .add(
                Rectangle::new()
                    .set("width", "100%")
                    .set("height", "100%")
                    .set("fill", "white"),
            )
            .add(layer)
            .to_string()
    }
}
