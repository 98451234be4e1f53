//! Measuring a network on a device.
