use std::path::PathBuf;

use super::figure::{Mark, text_width};
use super::*;
use crate::space::step::ChoiceKind;

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir("search-spaces")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "space"))
        .collect();
    files.sort();
    assert!(files.len() >= 14, "{} files", files.len());
    files
}

fn texts(figure: &Figure) -> Vec<String> {
    let text = |mark: &Mark| match mark {
        Mark::Text { content, .. } => Some(content.clone()),
        _ => None,
    };
    figure.marks.iter().filter_map(text).collect()
}

/// Left, top, right and bottom.
type Area = [f64; 4];

fn rectangles(figure: &Figure) -> Vec<Area> {
    let area = |mark: &Mark| match *mark {
        Mark::Rect {
            at, width, height, ..
        } => Some([at.x, at.y, at.x + width, at.y + height]),
        _ => None,
    };
    figure.marks.iter().filter_map(area).collect()
}

fn within(inner: Area, outer: Area) -> bool {
    const SLACK: f64 = 1e-6;
    (0..2).all(|i| inner[i] + SLACK >= outer[i] && inner[i + 2] <= outer[i + 2] + SLACK)
}

fn apart(a: Area, b: Area) -> bool {
    (0..2).any(|i| a[i + 2] <= b[i] || b[i + 2] <= a[i])
}

/// No text leaves the box it begins in, no two boxes cut each other, and all
/// is on the paper.
fn check_geometry(name: &str, figure: &Figure) {
    let boxes = rectangles(figure);
    let paper = [0.0, 0.0, figure.width, figure.height];
    for (index, a) in boxes.iter().enumerate() {
        assert!(within(*a, paper), "{name}: a box leaves the paper");
        for b in &boxes[..index] {
            let fits = apart(*a, *b) || within(*a, *b) || within(*b, *a);
            assert!(fits, "{name}: boxes {a:?} and {b:?} cut each other");
        }
    }
    for mark in &figure.marks {
        let Mark::Text { at, content, .. } = mark else {
            continue;
        };
        let area = [at.x, at.y - 10.0, at.x + text_width(content), at.y + 3.0];
        assert!(within(area, paper), "{name}: `{content}` leaves the paper");
        for around in &boxes {
            let fits = apart(area, *around) || within(area, *around);
            assert!(fits, "{name}: `{content}` cuts the box {around:?}");
        }
    }
}

#[test]
fn every_space_is_drawn_with_all_its_choices() {
    let out = std::env::var_os("BESPOKE_DRAWINGS").map(PathBuf::from);
    for path in files() {
        let space = Space::load(&path).unwrap();
        let name = space.name();
        let (figure, shown) = figure(&space);
        check_geometry(name, &figure);
        let texts = texts(&figure).join("\n");
        for choice in space.choices() {
            let path = &choice.path;
            assert!(shown.contains(&choice.span), "{name}: {path} is not drawn");
            let last = path
                .rsplit('.')
                .next()
                .unwrap()
                .split(['#', '['])
                .next()
                .unwrap();
            let called = match choice.kind {
                ChoiceKind::Option if last == "choice" => "choose",
                _ => last,
            };
            assert!(texts.contains(called), "{name}: `{called}` is not named");
            if choice.kind == ChoiceKind::Option {
                for label in &choice.labels {
                    assert!(texts.contains(label.as_str()), "{name}: {path}={label}");
                }
            }
        }
        let drawing = space.drawing();
        assert_eq!(drawing, space.drawing());
        well_formed(&drawing);
        if let Some(out) = &out {
            std::fs::write(out.join(format!("{name}.svg")), drawing).unwrap();
        }
    }
}

fn well_formed(drawing: &str) {
    use svg::node::element::tag::Type;
    use svg::parser::Event;
    let mut open: Vec<String> = Vec::new();
    for event in svg::read(drawing).unwrap() {
        match event {
            Event::Error(error) => panic!("{error}"),
            Event::Tag(name, Type::Start, _) => open.push(name.into()),
            Event::Tag(name, Type::End, _) => assert_eq!(open.pop().as_deref(), Some(name)),
            _ => {}
        }
    }
    assert!(open.is_empty());
}

#[test]
fn everything_the_language_has_can_be_drawn() {
    let text = "space t
        input sequence 16x8
        let wide = {8, 16}
        require params < 5M
        block b(c, k = {2, 4}, other) shared {
          precision(weights: {4, 8})
          x = (input + other) -> linear({c, 2 * c}) -> linear(c)
          g = other -> linear(c) -> sigmoid
          y = x * g
          z = pick it 2 {x, y, other}
          all = concat(x, z, input) -> linear(c)
          residual when {true, false}
        }
        network {
          start = input -> linear(8)
          next = start -> b(8, other: start)
          repeat tail 0..2 {
            if {true, false} { relu } else { choose { gelu | wide => mlp({8, 16}) when index == 0 | repeat 1..2 { tanh residual } } }
          }
          linear(wide)
        }";
    let space = Space::parse("t", text).unwrap_or_else(|e| panic!("{:?}", miette::Report::new(*e)));
    let (figure, shown) = figure(&space);
    check_geometry("t", &figure);
    let missing = space.choices().iter().filter(|c| !shown.contains(&c.span));
    let missing: Vec<&str> = missing.map(|c| c.path.as_str()).collect();
    assert!(missing.is_empty(), "not drawn: {missing:?}");
    insta::assert_snapshot!(texts(&figure).join("\n"));
}

#[test]
fn long_texts_are_broken_where_they_are_best_read() {
    let text = "m = layernorm → attention(heads: {3, 4}, dim: 64, causal: true) · bn";
    assert_eq!(
        words::wrapped(text),
        [
            "m = layernorm → attention(heads: {3, 4},",
            "  dim: 64, causal: true) · bn"
        ]
    );
    let words = "when height(input) == 16 and in == out or first 1 else 0 == 0";
    let lines = words::wrapped(words);
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|l| l.len() <= 46), "{lines:?}");
}

#[test]
fn counts_are_written_out_while_they_can_be_read() {
    let count = |digits: &str| words::count(&digits.parse().unwrap());
    assert_eq!(count("6561"), "6,561");
    assert_eq!(count("123"), "123");
    assert_eq!(count("984770902183611232881"), "9.84 × 10^20");
}
