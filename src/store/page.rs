//! Events fetched many at a time: the database joins thousands of them into one
//! text, as a driver's cost for each row would be most of the time.

use sqlx::{AssertSqlSafe, Row};

use super::encode::{self, Half, SEPARATOR};
use super::pack::Unpacker;
use super::{Detail, Store, StoreError};

/// Events fetched at a time, so that a long run is never held twice.
const PAGE: i64 = 4096;

/// Which events to read.
#[derive(Clone, Copy)]
pub(super) enum Which {
    All,
    /// Those that are not about a candidate, up to this place.
    Others(i64),
}

/// A page as the database gives it.
pub(super) struct Page {
    lines: String,
    /// Bulky parts by place.
    packed: Vec<(i64, Vec<u8>)>,
    pub last: i64,
    pub is_full: bool,
}

/// The columns of an event as one text; see [`encode::parse_line`]. Lines are
/// joined in the order of an ordered subquery, which both databases keep without
/// promising it: an order of the aggregate's own would have SQLite write every
/// page to a temporary file first. [`parse`] looks at the order.
const LINE: &str = "seq || ' ' || at_ms || ' ' || COALESCE(CAST(candidate AS TEXT), '') || ' ' ||
    COALESCE(CAST(asked AS TEXT), '') || ' ' ||
    CASE WHEN packed IS NULL THEN '' ELSE 'p' END || ' ' ||
    length(kind) || ' ' || kind || payload";

impl Store {
    /// A page of events after a place.
    pub(super) fn page(
        &self,
        key: i64,
        after: i64,
        which: Which,
        detail: Detail,
    ) -> Result<Page, StoreError> {
        let (condition, upto) = match which {
            Which::All => ("", i64::MAX),
            Which::Others(upto) => ("AND candidate IS NULL", upto),
        };
        let row = self.read(async |connection| {
            let sql = format!(
                "SELECT string_agg(line, $1) AS lines, COUNT(*) AS number, MAX(seq) AS last
                 FROM (SELECT seq, {LINE} AS line FROM events
                       WHERE run = $2 AND seq > $3 AND seq <= $4 {condition}
                       ORDER BY seq LIMIT $5) AS page"
            );
            let row = sqlx::query(AssertSqlSafe(sql))
                .bind(SEPARATOR.to_string())
                .bind(key)
                .bind(after)
                .bind(upto)
                .bind(PAGE)
                .fetch_one(&mut *connection)
                .await?;
            let lines: Option<String> = row.try_get("lines")?;
            let number: i64 = row.try_get("number")?;
            let last: Option<i64> = row.try_get("last")?;
            let last = last.unwrap_or(after);
            let condition = match detail {
                Detail::Everything => condition,
                Detail::Figures => "AND candidate IS NULL",
            };
            let sql = format!(
                "SELECT seq, packed FROM events
                 WHERE run = $1 AND seq > $2 AND seq <= $3 AND packed IS NOT NULL {condition}
                 ORDER BY seq"
            );
            let packed = match number {
                0 => Vec::new(),
                _ => {
                    sqlx::query(AssertSqlSafe(sql))
                        .bind(key)
                        .bind(after)
                        .bind(last)
                        .fetch_all(connection)
                        .await?
                }
            };
            Ok((lines.unwrap_or_default(), number, last, packed))
        })?;
        let (lines, number, last, rows) = row;
        let column = |e| self.location.explain(e);
        let packed = rows
            .iter()
            .map(|row| Ok((row.try_get("seq")?, row.try_get("packed")?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(column)?;
        Ok(Page {
            lines,
            packed,
            last,
            is_full: number == PAGE,
        })
    }

    /// The events at some places, without their curves.
    pub(super) fn page_of(&self, key: i64, places: &[i64]) -> Result<Page, StoreError> {
        let list: Vec<String> = places.iter().map(i64::to_string).collect();
        let sql = format!(
            "SELECT string_agg(line, $1) AS lines
             FROM (SELECT {LINE} AS line FROM events
                   WHERE run = $2 AND seq IN ({}) ORDER BY seq) AS page",
            list.join(", ")
        );
        let lines: Option<String> = self.read(async |connection| {
            sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(SEPARATOR.to_string())
                .bind(key)
                .fetch_one(connection)
                .await
        })?;
        Ok(Page {
            lines: lines.unwrap_or_default(),
            packed: Vec::new(),
            last: 0,
            is_full: false,
        })
    }
}

/// The events of a page, in order, before identities are put into them; or what
/// is damaged.
pub(super) fn parse(page: Page) -> Result<Vec<Half>, String> {
    let lines = page.lines.split(SEPARATOR).filter(|line| !line.is_empty());
    let mut halves = lines
        .map(encode::parse_line)
        .collect::<Result<Vec<Half>, _>>()?;
    if !halves.is_sorted_by_key(|half| half.recorded.seq) {
        halves.sort_by_key(|half| half.recorded.seq);
    }
    let mut packed = page.packed.into_iter().peekable();
    if packed.peek().is_none() {
        return Ok(halves);
    }
    let mut unpacker = Unpacker::new();
    for half in &mut halves {
        let seq = half.recorded.seq;
        if let Some((_, bytes)) = packed.next_if(|(at, _)| *at as u64 == seq) {
            let value = unpacker.unpack(&bytes);
            half.put_bulk(value.map_err(|e| format!("event {seq} cannot be unpacked: {e}"))?);
        }
    }
    Ok(halves)
}
