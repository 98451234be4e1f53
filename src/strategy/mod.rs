//! Ask/tell searchers.
