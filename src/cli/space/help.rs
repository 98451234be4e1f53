//! Examples at the end of each `--help`; the tests run every one of them. A
//! long one goes on after a backslash, as in a shell.

pub const CHECK: &str = "\
Examples:
  bespoke space check search-spaces/fbnet.space search-spaces/vit.space
  bespoke space check search-spaces/darts.space --json";

pub const COUNT: &str = "\
Examples:
  bespoke space count search-spaces/nasbench-macro.space --distinct
  bespoke space count search-spaces/ofa-mobilenetv3.space --stages";

pub const SAMPLE: &str = "\
Examples:
  bespoke space sample search-spaces/quickstart.space -n 3 --seed 1
  bespoke space sample search-spaces/fbnet.space --format fbnet --json";

pub const ENUMERATE: &str = "\
Examples:
  bespoke space enumerate search-spaces/nasbench201.space --limit 5
  bespoke space enumerate search-spaces/nasbench201.space --offset 15600 \\
    --format nasbench201";

pub const MUTATE: &str = "\
Examples:
  bespoke space mutate search-spaces/fbnet.space --format fbnet -n 3 \\
    '0 8 3 1 2 5 3 6 7 0 1 2 3 4 5 6 7 8 0 1 2 3'";

pub const CROSSOVER: &str = "\
Examples:
  bespoke space crossover search-spaces/fbnet.space --format fbnet \\
    '0 8 3 1 2 5 3 6 7 0 1 2 3 4 5 6 7 8 0 1 2 3' \\
    '3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3'";

pub const EXPLAIN: &str = "\
Examples:
  bespoke space explain search-spaces/quickstart.space
  bespoke space explain search-spaces/vit.space --json
  bespoke space explain search-spaces/nasbench201.space --format nasbench201 \\
    '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|'";

pub const DIFF: &str = "\
Examples:
  bespoke space diff search-spaces/nasbench201.space --format nasbench201 \\
    '|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|' \\
    '|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|'";

pub const DRAW: &str = "\
Examples:
  bespoke space draw search-spaces/nasbench201.space --out nasbench201.svg
  bespoke space draw search-spaces/vit.space --seed 3 --out vit-3.svg";

pub const FMT: &str = "\
Examples:
  bespoke space fmt search-spaces/quickstart.space
  bespoke space fmt --check search-spaces/vit.space search-spaces/darts.space";
