//! Numbers as people read them: counts and bytes with a prefix, durations and
//! times of day. Machines get the plain numbers instead, from the CSV and JSON
//! forms.

/// A count with three significant digits and a decimal prefix: `3.50 M`.
pub fn count_text(count: u64) -> String {
    with_prefix(count, 1000, ["", " k", " M", " G", " T"])
}

/// Bytes with three significant digits and a binary prefix: `1.50 MiB`.
pub fn bytes_text(bytes: u64) -> String {
    with_prefix(bytes, 1024, [" B", " KiB", " MiB", " GiB", " TiB"])
}

fn with_prefix(value: u64, step: u64, prefixes: [&str; 5]) -> String {
    let mut scaled = value as f64;
    let mut prefix = 0;
    // 999.5 would be shown as 1000 of the smaller prefix.
    while scaled >= step as f64 - 0.5 && prefix + 1 < prefixes.len() {
        scaled /= step as f64;
        prefix += 1;
    }
    match prefix {
        0 => format!("{value}{}", prefixes[0]),
        _ => format!("{}{}", significant(scaled), prefixes[prefix]),
    }
}

/// Three significant digits for what lies between 1 and 1000.
fn significant(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// A latency in milliseconds with three significant digits, without unit.
pub(super) fn ms_text(ms: f64) -> String {
    match ms.abs() {
        v if v >= 99.95 => format!("{ms:.0}"),
        v if v >= 9.995 => format!("{ms:.1}"),
        v if v >= 0.9995 => format!("{ms:.2}"),
        _ => format!("{ms:.3}"),
    }
}

/// A fraction as a percentage with two decimals, without sign.
pub(super) fn percent_text(fraction: f64) -> String {
    format!("{:.2}", 100.0 * fraction)
}

/// A length of time: `4.2 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration_text(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{:.1} s", seconds.max(0.0)),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Unix milliseconds as `2026-11-27 09:01` in UTC.
pub fn time_text(unix_ms: i64) -> String {
    let minutes = unix_ms.div_euclid(60_000);
    let (days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}",
        minute / 60,
        minute % 60
    )
}

/// Unix milliseconds as ISO 8601 has it, in UTC: `2026-11-27T09:01:22.345+00:00`.
pub fn iso_text(unix_ms: i64) -> String {
    let minute = time_text(unix_ms).replace(' ', "T");
    let rest = unix_ms.rem_euclid(60_000);
    format!("{minute}:{:02}.{:03}+00:00", rest / 1000, rest % 1000)
}

/// Gregorian date of a day counted from 1970-01-01. Howard Hinnant,
/// "chrono-compatible low-level date algorithms", `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months counted from March, so that the leap day comes last.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + 400 * era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_keep_three_digits() {
        let shown = [0, 999, 1000, 9_994, 9_996, 269_722, 999_600, 3_504_872].map(count_text);
        assert_eq!(
            shown,
            [
                "0", "999", "1.00 k", "9.99 k", "10.0 k", "270 k", "1.00 M", "3.50 M"
            ]
        );
        assert_eq!(
            [1023, 1024, 3 << 19].map(bytes_text),
            ["1023 B", "1.00 KiB", "1.50 MiB"]
        );
        assert_eq!(count_text(u64::MAX), "18446744 T");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time_text(0), "1970-01-01 00:00");
        assert_eq!(time_text(951_827_696_789), "2000-02-29 12:34");
        assert_eq!(time_text(1_795_770_119_999), "2026-11-27 09:01");
        assert_eq!(time_text(-1), "1969-12-31 23:59");
        assert_eq!(iso_text(951_827_696_789), "2000-02-29T12:34:56.789+00:00");
    }

    #[test]
    fn durations_grow_coarser() {
        let shown = [0.04, 59.4, 59.9, 200.0, 7500.0].map(duration_text);
        assert_eq!(
            shown,
            ["0.0 s", "59.4 s", "1 min 00 s", "3 min 20 s", "2 h 05 min"]
        );
    }
}
