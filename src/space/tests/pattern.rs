//! The regular expressions of the editor grammar, enough of them to tokenise
//! with it here: characters, classes, groups, alternatives, `? * +`, `^ $ \b`
//! and lookahead, by backtracking.

/// What one place of a pattern asks for.
enum Node {
    /// Ranges of characters, and whether those are meant or all others.
    Class(Vec<(char, char)>, bool),
    Start,
    End,
    Edge,
    Seq(Vec<Node>),
    Alt(Vec<Node>),
    Repeat(Box<Node>, usize, usize),
    Group(usize, Box<Node>),
    Look(Box<Node>, bool),
}

pub struct Pattern {
    root: Node,
    groups: usize,
}

/// Where a pattern and its groups, from 1, matched.
pub type Found = Vec<Option<(usize, usize)>>;

impl Pattern {
    /// # Panics
    /// Where the pattern uses more than is understood here.
    pub fn new(source: &str) -> Pattern {
        let mut reader = Reader {
            source: source.chars().collect(),
            at: 0,
            groups: 0,
        };
        let root = reader.alternatives();
        assert_eq!(reader.at, reader.source.len(), "cannot read {source}");
        Pattern {
            root,
            groups: reader.groups,
        }
    }

    /// The match that begins exactly at `at`; the whole is group 0.
    pub fn find(&self, line: &[char], at: usize) -> Option<Found> {
        let mut found = vec![None; self.groups + 1];
        let mut result = None;
        run(&self.root, line, at, &mut found, &mut |end, found| {
            found[0] = Some((at, end));
            result = Some(found.clone());
            true
        });
        result
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Calls `then` with every end in turn until it agrees.
fn run(
    node: &Node,
    line: &[char],
    at: usize,
    found: &mut Found,
    then: &mut dyn FnMut(usize, &mut Found) -> bool,
) -> bool {
    match node {
        Node::Class(ranges, wanted) => {
            let fits = |c: &char| ranges.iter().any(|(a, b)| a <= c && c <= b) == *wanted;
            line.get(at).is_some_and(fits) && then(at + 1, found)
        }
        Node::Start => at == 0 && then(at, found),
        Node::End => at == line.len() && then(at, found),
        Node::Edge => {
            let before = at > 0 && is_word(line[at - 1]);
            let after = line.get(at).is_some_and(|c| is_word(*c));
            before != after && then(at, found)
        }
        Node::Seq(nodes) => match nodes.split_first() {
            None => then(at, found),
            Some((first, _)) => sequence(first, &nodes[1..], line, at, found, then),
        },
        Node::Alt(options) => options.iter().any(|o| run(o, line, at, found, then)),
        Node::Repeat(inner, least, most) => repeat(inner, (*least, *most), line, at, found, then),
        Node::Group(number, inner) => run(inner, line, at, found, &mut |end, found| {
            let before = found[*number].replace((at, end));
            let done = then(end, found);
            if !done {
                found[*number] = before;
            }
            done
        }),
        Node::Look(inner, wanted) => {
            let seen = run(inner, line, at, &mut found.clone(), &mut |_, _| true);
            seen == *wanted && then(at, found)
        }
    }
}

fn sequence(
    first: &Node,
    rest: &[Node],
    line: &[char],
    at: usize,
    found: &mut Found,
    then: &mut dyn FnMut(usize, &mut Found) -> bool,
) -> bool {
    run(
        first,
        line,
        at,
        found,
        &mut |end, found| match rest.split_first() {
            None => then(end, found),
            Some((next, rest)) => sequence(next, rest, line, end, found, then),
        },
    )
}

fn repeat(
    inner: &Node,
    (least, most): (usize, usize),
    line: &[char],
    at: usize,
    found: &mut Found,
    then: &mut dyn FnMut(usize, &mut Found) -> bool,
) -> bool {
    let more = most > 0
        && run(inner, line, at, found, &mut |end, found| {
            let left = (least.saturating_sub(1), most - 1);
            end > at && repeat(inner, left, line, end, found, then)
        });
    more || least == 0 && then(at, found)
}

struct Reader {
    source: Vec<char>,
    at: usize,
    groups: usize,
}

impl Reader {
    fn eat(&mut self, text: &str) -> bool {
        let hit = self.source[self.at..].starts_with(&text.chars().collect::<Vec<char>>());
        if hit {
            self.at += text.chars().count();
        }
        hit
    }

    fn next(&mut self) -> char {
        self.at += 1;
        self.source[self.at - 1]
    }

    fn alternatives(&mut self) -> Node {
        let mut options = vec![self.sequence()];
        while self.eat("|") {
            options.push(self.sequence());
        }
        Node::Alt(options)
    }

    fn sequence(&mut self) -> Node {
        let mut nodes = Vec::new();
        while self.at < self.source.len() && !['|', ')'].contains(&self.source[self.at]) {
            let atom = self.atom();
            let bounds = match self.source.get(self.at) {
                Some('?') => (0, 1),
                Some('*') => (0, usize::MAX),
                Some('+') => (1, usize::MAX),
                _ => {
                    nodes.push(atom);
                    continue;
                }
            };
            self.at += 1;
            nodes.push(Node::Repeat(Box::new(atom), bounds.0, bounds.1));
        }
        Node::Seq(nodes)
    }

    fn atom(&mut self) -> Node {
        if self.eat("(?=") {
            return Node::Look(self.closed(), true);
        }
        if self.eat("(?!") {
            return Node::Look(self.closed(), false);
        }
        if self.eat("(?:") {
            return *self.closed();
        }
        match self.next() {
            '(' => {
                self.groups += 1;
                let number = self.groups;
                Node::Group(number, self.closed())
            }
            '[' => {
                let others = self.eat("^");
                let mut ranges = Vec::new();
                while !self.eat("]") {
                    let c = self.next();
                    match c {
                        '\\' => ranges.extend(self.escape()),
                        c if self.source[self.at] == '-' && self.source[self.at + 1] != ']' => {
                            self.at += 1;
                            ranges.push((c, self.next()));
                        }
                        c => ranges.push((c, c)),
                    }
                }
                Node::Class(ranges, !others)
            }
            '\\' if self.eat("b") => Node::Edge,
            '\\' => Node::Class(self.escape(), true),
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::Class(Vec::new(), false),
            c => Node::Class(vec![(c, c)], true),
        }
    }

    fn closed(&mut self) -> Box<Node> {
        let inner = self.alternatives();
        assert!(self.eat(")"), "a group is not closed");
        Box::new(inner)
    }

    fn escape(&mut self) -> Vec<(char, char)> {
        match self.next() {
            'd' => vec![('0', '9')],
            's' => vec![(' ', ' '), ('\t', '\t')],
            'w' => vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')],
            c if c.is_ascii_alphanumeric() => panic!("\\{c} is not understood"),
            c => vec![(c, c)],
        }
    }
}

#[test]
fn patterns_match_as_everywhere() {
    let at = |pattern: &str, text: &'static str, at| {
        let line: Vec<char> = text.chars().collect();
        let found = Pattern::new(pattern).find(&line, at)?;
        Some(
            found[1..]
                .iter()
                .map(|f| f.map(|(a, b)| &text[a..b]))
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(at(r"a(b*)(?:c|bd)", "abbbd", 0), Some(vec![Some("bb")]));
    assert_eq!(at(r"\b(x)?\w+(?=\s*:)", "xy :", 0), Some(vec![Some("x")]));
    assert_eq!(at(r"\b\w+(?=\s*=(?!=))", "xy == 1", 0), None);
    assert_eq!(at(r"^a", "ba", 1), None);
    assert_eq!(at(r"[^a-c+-]$", "a-d", 2), Some(vec![]));
    assert_eq!(at(r"[^a-c+-]", "a-d", 1), None);
}
