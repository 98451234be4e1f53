//! Which devices train, validate and test: the split of HELP (Lee et al.,
//! arXiv 2106.08630) for NAS-Bench-201 and FBNet, and for OFA one by GPU
//! family, so that no batch size of a test GPU is seen in training. Devices in
//! no list are not used.

use super::tables::TableSpace;

/// A table's device lists and HELP's fixed reference architectures.
#[derive(Debug, Clone, Copy)]
pub struct Split {
    pub train: &'static [&'static str],
    pub validate: &'static [&'static str],
    pub test: &'static [&'static str],
    /// Row indices of HELP's ten hardware-embedding architectures.
    pub help_references: [usize; 10],
    /// HELP's published Spearman correlations by test device.
    pub help_spearman: &'static [(&'static str, f64)],
}

/// The split of a table.
pub fn split(space: TableSpace) -> Split {
    match space {
        TableSpace::NasBench201 => Split {
            train: &[
                "1080ti_1",
                "1080ti_32",
                "1080ti_256",
                "silver_4114",
                "silver_4210r",
                "samsung_a50",
                "pixel3",
                "essential_ph_1",
                "samsung_s7",
            ],
            validate: &["titanx_1", "titanx_32", "titanx_256", "gold_6240"],
            test: &[
                "titan_rtx_256",
                "gold_6226",
                "fpga",
                "pixel2",
                "raspi4",
                "eyeriss",
            ],
            help_references: [11982, 431, 55, 9, 14451, 8636, 9881, 13479, 6196, 1462],
            help_spearman: &[
                ("titan_rtx_256", 0.987),
                ("gold_6226", 0.989),
                ("fpga", 0.985),
                ("pixel2", 0.802),
                ("raspi4", 0.890),
                ("eyeriss", 0.940),
            ],
        },
        TableSpace::FbNet => Split {
            train: &[
                "1080ti_1",
                "1080ti_32",
                "1080ti_64",
                "silver_4114",
                "silver_4210r",
                "samsung_a50",
                "pixel3",
                "essential_ph_1",
                "samsung_s7",
            ],
            validate: &["titanx_1", "titanx_32", "titanx_64", "gold_6240"],
            test: &["fpga", "raspi4", "eyeriss"],
            help_references: [3328, 3790, 3313, 890, 3052, 2538, 1640, 2514, 457, 2100],
            help_spearman: &[("fpga", 0.892), ("raspi4", 0.887), ("eyeriss", 0.943)],
        },
        TableSpace::Ofa => Split {
            train: &[
                "2080ti_1",
                "2080ti_32",
                "2080ti_64",
                "v100_1",
                "v100_32",
                "v100_64",
            ],
            validate: &["titan_xp_1", "titan_xp_32", "titan_xp_64"],
            test: &["titan_rtx_1", "titan_rtx_32", "titan_rtx_64"],
            help_references: [1316, 1587, 1621, 1636, 1980, 2329, 2487, 3355, 3740, 4948],
            help_spearman: &[],
        },
    }
}

/// What a device shares with its siblings: the GPU whatever the batch size,
/// the processor's line. Meta-training holds out whole families.
pub fn family(device: &str) -> &str {
    for line in ["silver", "gold"] {
        if device.starts_with(line) {
            return line;
        }
    }
    match device.rsplit_once('_') {
        Some((stem, batch)) if batch.parse::<u32>().is_ok() => stem,
        _ => device,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_family_of_a_test_device_is_trained_or_validated_on() {
        for space in TableSpace::ALL {
            // gold_6240 validates and gold_6226 tests in HELP's split, which
            // we keep to compare like for like; it never trains.
            let s = split(space);
            for test in s.test {
                assert!(s.train.iter().all(|d| family(d) != family(test)), "{test}");
            }
        }
        assert_eq!(family("titan_rtx_256"), "titan_rtx");
        assert_eq!(family("silver_4210r"), family("silver_4114"));
        assert_eq!(family("samsung_s7"), "samsung_s7");
    }
}
