/// A rate in bytes per second as people say it: bits, three digits.
pub(in crate::detect) fn bits(bytes_per_second: f64) -> String {
    let rate = bytes_per_second * 8.0;
    match rate {
        r if r >= 1e9 => format!("{:.2} Gbit/s", r / 1e9),
        r if r >= 1e7 => format!("{:.1} Mbit/s", r / 1e6),
        r if r >= 1e6 => format!("{:.2} Mbit/s", r / 1e6),
        r => format!("{:.0} kbit/s", r / 1e3),
    }
}

/// Bytes as people say them.
pub(in crate::detect) fn bytes(count: f64) -> String {
    match count {
        c if c >= 1e7 => format!("{:.0} MB", c / 1e6),
        c if c >= 1e6 => format!("{:.1} MB", c / 1e6),
        c if c >= 1e4 => format!("{:.0} kB", c / 1e3),
        c => format!("{:.1} kB", c / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        assert_eq!(bits(16_000.0), "128 kbit/s");
        assert_eq!(bits(2_300_000.0), "18.4 Mbit/s");
        assert_eq!(bits(312_500.0), "2.50 Mbit/s");
        assert_eq!(bytes(8_000.0), "8.0 kB");
        assert_eq!(bytes(24_115.0), "24 kB");
    }
}
