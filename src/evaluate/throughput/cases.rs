//! The networks that training is timed on where none is named: small ones of
//! the kinds that searches train, written in the space language with nothing
//! left to choose.

use crate::network::Network;
use crate::space::Space;

/// Colour images as of CIFAR-10.
const COLOUR: &str = "3x32x32";
/// Grey images as of MNIST.
const GREY: &str = "1x28x28";

/// Seven dense convolutions of 16, 32 and 64 channels.
const PLAIN: &str = "
block unit(out, stride) { conv3x3(out, stride) bn relu }
network {
  unit(16, 1) unit(16, 1) unit(16, 1)
  unit(32, 2) unit(32, 1)
  unit(64, 2) unit(64, 1)
  pool avg global
  linear(classes)
}";

/// The same with each convolution but the first split in a depthwise and a
/// pointwise one, as in MobileNet (Howard et al. 2017, arXiv 1704.04861).
const SEPARABLE: &str = "
block unit(out, stride) {
  depthwise(3, stride) bn relu
  conv1x1(out) bn relu
}
network {
  conv3x3(16) bn relu
  unit(16, 1) unit(16, 1)
  unit(32, 2) unit(32, 1)
  unit(64, 2) unit(64, 1)
  pool avg global
  linear(classes)
}";

/// A small MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381).
const MOBILENET_V2: &str = "
block mbconv(out, stride, expand) {
  if expand != 1 { conv1x1(in * expand) bn relu6 }
  depthwise(3, stride) bn relu6
  conv1x1(out) bn
  residual when stride == 1 and in == out
}
network {
  conv3x3(16) bn relu6
  mbconv(8, 1, 1)
  mbconv(12, 2, 6) mbconv(12, 1, 6)
  mbconv(16, 2, 6) mbconv(16, 1, 6)
  mbconv(32, 2, 6) mbconv(32, 1, 6)
  conv1x1(256) bn relu6
  pool avg global
  linear(classes)
}";

/// A small MobileNetV3 (Howard et al. 2019, arXiv 1905.02244): 5x5 kernels,
/// squeeze-and-excitation and hard swish.
const MOBILENET_V3: &str = "
block bneck(kernel, wide, out, stride) {
  conv1x1(wide) bn hswish
  depthwise(kernel, stride) bn hswish
  se(to: divisible(wide / 4, 8))
  conv1x1(out) bn
  residual when stride == 1 and in == out
}
network {
  conv3x3(16, stride 2) bn hswish
  bneck(3, 32, 16, 1)
  bneck(5, 64, 24, 2) bneck(5, 96, 24, 1)
  bneck(5, 96, 40, 2) bneck(5, 160, 40, 1)
  conv1x1(160) bn hswish
  pool avg global
  linear(classes)
}";

const CASES: [(&str, &str, &str); 6] = [
    ("plain-32", COLOUR, PLAIN),
    ("separable-32", COLOUR, SEPARABLE),
    ("plain-28", GREY, PLAIN),
    ("separable-28", GREY, SEPARABLE),
    ("mobilenetv2-32", COLOUR, MOBILENET_V2),
    ("mobilenetv3-32", COLOUR, MOBILENET_V3),
];

/// The networks with their names.
pub fn cases() -> Vec<(String, Network)> {
    CASES
        .iter()
        .map(|(name, input, body)| {
            let text = format!("space case\ninput image {input}\nclasses 10\n{body}\n");
            let space = Space::parse(name, &text).expect("a valid space");
            let only = space.enumerate().next().expect("one architecture");
            let network = space.network(&only).expect("a network of the space");
            (name.to_string(), network)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_are_networks_for_ten_classes() {
        let cases = cases();
        assert_eq!(cases.len(), CASES.len());
        for (name, network) in cases {
            assert_eq!(network.output_shape().elements(), 10, "{name}");
        }
    }
}
