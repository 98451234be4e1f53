//! Tables, plots and exports.
