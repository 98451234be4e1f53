//! Reading a run's events, many at a time: the database joins thousands of
//! them into one text, as a driver's cost for each row would be most of the
//! time, and the next page is read while one is decoded.

use std::collections::HashMap;
use std::sync::mpsc;

use sqlx::Row;

use super::encode::{self, Half, Identity, SEPARATOR};
use super::{Event, Recorded, RunId, RunState, Store, StoreError, Writer};

/// Events fetched at a time, so that a long run is never held twice.
const PAGE: i64 = 8192;

/// How much of each event to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Everything,
    /// All but the training curves of evaluations, which are null then: what a
    /// search needs to go on, and much quicker.
    Figures,
}

/// Which events to read.
#[derive(Clone, Copy)]
enum Which {
    All,
    /// Those that are not about a candidate, up to this place.
    Others(i64),
}

/// A page as the database gives it.
struct Page {
    lines: String,
    /// Bulky parts by place.
    packed: Vec<(i64, Vec<u8>)>,
    last: i64,
    is_full: bool,
}

/// The columns of an event as one text; see [`encode::parse_line`].
const LINE: &str = "seq || ' ' || at_ms || ' ' || COALESCE(CAST(candidate AS TEXT), '') || ' ' ||
    COALESCE(CAST(asked AS TEXT), '') || ' ' ||
    CASE WHEN packed IS NULL THEN '' ELSE 'p' END || ' ' ||
    length(kind) || ' ' || kind || payload";

impl Store {
    /// Every event of a run, in order.
    pub fn events(&self, run: &RunId) -> Result<Vec<Recorded>, StoreError> {
        let mut events = Vec::new();
        self.for_each_event(run, 0, |recorded| events.push(recorded))?;
        Ok(events)
    }

    /// Calls `visit` with every event after place `after` (0: all of them), in
    /// order, without holding them all in memory. Returns the last place seen,
    /// from which a follower can go on.
    pub fn for_each_event(
        &self,
        run: &RunId,
        after: u64,
        visit: impl FnMut(Recorded),
    ) -> Result<u64, StoreError> {
        self.visit(run, after, Detail::Everything, visit)
    }

    /// [`for_each_event`](Self::for_each_event) in less detail.
    pub fn visit(
        &self,
        run: &RunId,
        after: u64,
        detail: Detail,
        mut visit: impl FnMut(Recorded),
    ) -> Result<u64, StoreError> {
        let key = self.key(run)?;
        let mut identities = HashMap::new();
        let first = self.page(key, after as i64, Which::All, detail)?;
        let (mut last, mut is_full) = (first.last, first.is_full);
        self.decode(key, first, &mut identities, &mut visit)?;
        if !is_full {
            return Ok(last as u64);
        }
        std::thread::scope(|scope| {
            // Two pages ahead of the decoding, at most.
            let (pages, read) = mpsc::sync_channel(1);
            scope.spawn(move || {
                let mut after = last;
                loop {
                    let page = self.page(key, after, Which::All, detail);
                    let go_on = page.as_ref().is_ok_and(|page| page.is_full);
                    after = page.as_ref().map_or(after, |page| page.last);
                    if pages.send(page).is_err() || !go_on {
                        return;
                    }
                }
            });
            while is_full {
                let Ok(page) = read.recv() else { break };
                let page = page?;
                (last, is_full) = (page.last, page.is_full);
                self.decode(key, page, &mut identities, &mut visit)?;
            }
            Ok(last as u64)
        })
    }

    /// The events that are not about a candidate, up to a place.
    pub(super) fn others(&self, key: i64, upto: i64) -> Result<Vec<Recorded>, StoreError> {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let page = self.page(key, after, Which::Others(upto), Detail::Everything)?;
            let is_full = page.is_full;
            after = page.last;
            self.decode(key, page, &mut HashMap::new(), &mut |e| events.push(e))?;
            if !is_full {
                return Ok(events);
            }
        }
    }

    /// The events at some places, without their curves.
    pub(super) fn at(&self, key: i64, places: &[i64]) -> Result<Vec<Recorded>, StoreError> {
        let mut events = Vec::new();
        for places in places.chunks(500) {
            let list: Vec<String> = places.iter().map(i64::to_string).collect();
            let sql = format!(
                "SELECT string_agg(line, $1 ORDER BY seq) AS lines
                 FROM (SELECT seq, {LINE} AS line FROM events
                       WHERE run = $2 AND seq IN ({})) AS page",
                list.join(", ")
            );
            let lines: Option<String> = self.read(async |connection| {
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                    .bind(SEPARATOR.to_string())
                    .bind(key)
                    .fetch_one(connection)
                    .await
            })?;
            let page = Page {
                lines: lines.unwrap_or_default(),
                packed: Vec::new(),
                last: 0,
                is_full: false,
            };
            self.decode(key, page, &mut HashMap::new(), &mut |e| events.push(e))?;
        }
        Ok(events)
    }

    fn page(&self, key: i64, after: i64, which: Which, detail: Detail) -> Result<Page, StoreError> {
        let (condition, upto) = match which {
            Which::All => ("", i64::MAX),
            Which::Others(upto) => ("AND candidate IS NULL", upto),
        };
        let row = self.read(async |connection| {
            let sql = format!(
                "SELECT string_agg(line, $1 ORDER BY seq) AS lines, COUNT(*) AS number,
                        MAX(seq) AS last
                 FROM (SELECT seq, {LINE} AS line FROM events
                       WHERE run = $2 AND seq > $3 AND seq <= $4 {condition}
                       ORDER BY seq LIMIT $5) AS page"
            );
            let row = sqlx::query(sqlx::AssertSqlSafe(sql))
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
                    sqlx::query(sqlx::AssertSqlSafe(sql))
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

    /// Decodes a page; `identities` are those of candidates asked for and not
    /// evaluated yet, by the place of the event that asked.
    fn decode(
        &self,
        key: i64,
        page: Page,
        identities: &mut HashMap<u64, Identity>,
        visit: &mut dyn FnMut(Recorded),
    ) -> Result<(), StoreError> {
        let damaged = |detail| StoreError::Damaged {
            path: self.path().to_owned(),
            detail,
        };
        let mut packed = page.packed.into_iter().peekable();
        for line in page.lines.split(SEPARATOR).filter(|line| !line.is_empty()) {
            let mut half: Half = encode::parse_line(line).map_err(damaged)?;
            let seq = half.recorded.seq;
            if let Some((_, bytes)) = packed.next_if(|(at, _)| *at as u64 == seq) {
                let value = encode::unpack(&bytes)
                    .map_err(|e| damaged(format!("event {seq} cannot be unpacked: {e}")))?;
                half.put_bulk(value);
            }
            if let Some(asked) = half.asked {
                let identity = match identities.remove(&asked) {
                    Some(identity) => identity,
                    None => self.identity(key, asked)?.ok_or_else(|| {
                        damaged(format!(
                            "event {seq} refers to event {asked}, which is lost"
                        ))
                    })?,
                };
                half.put_identity(identity);
            }
            if let Event::Asked(asked) = &half.recorded.event {
                let identity = Identity {
                    genotype: asked.genotype.clone(),
                    network_hash: asked.network_hash.clone(),
                };
                identities.insert(seq, identity);
            }
            visit(half.recorded);
        }
        Ok(())
    }

    fn identity(&self, key: i64, seq: u64) -> Result<Option<Identity>, StoreError> {
        let payload: Option<String> = self.read(async |connection| {
            sqlx::query_scalar("SELECT payload FROM events WHERE run = $1 AND seq = $2")
                .bind(key)
                .bind(seq as i64)
                .fetch_optional(connection)
                .await
        })?;
        Ok(payload.as_deref().and_then(encode::identity))
    }

    /// The run's state: the replay of its events, and whether its writer lives.
    pub fn state(&self, run: &RunId) -> Result<RunState, StoreError> {
        self.state_in(run, Detail::Everything)
    }

    /// The run's state in less detail.
    pub fn state_in(&self, run: &RunId, detail: Detail) -> Result<RunState, StoreError> {
        let (header, created_ms) = self.header(run)?;
        let mut state = RunState::new(run.clone(), header, created_ms);
        self.visit(run, 0, detail, |recorded| state.apply(recorded))?;
        state.writer_liveness = state.writer.as_ref().map(Writer::liveness);
        Ok(state)
    }
}
