//! Image data sets: the embedded one and files the user brings.
