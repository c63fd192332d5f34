//! Whole files through the door.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::fuzz::{all, read};
use super::*;

fn corpus() -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "where the corpus lies is told by the environment"
    )]
    let folder = std::env::var("DPISCOPE_CORPUS").ok();
    if folder.is_none() {
        eprintln!("not run: needs DPISCOPE_CORPUS");
    }
    folder.map(PathBuf::from)
}

fn manifest(corpus: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(corpus.join("captures/MANIFEST.tsv")).unwrap();
    let rows = text.lines().skip(1);
    rows.map(|row| row.split('\t').map(str::to_owned).collect())
        .collect()
}

/// A pcap file of Ethernet packets at these microseconds, each with its own bytes.
fn pcap(times: &[u64]) -> Vec<u8> {
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    bytes.extend([0; 8]);
    bytes.extend([0xff, 0xff, 0, 0, 1, 0, 0, 0]);
    for (place, time) in times.iter().enumerate() {
        let body: Vec<u8> = (0..40 + place % 90).map(|at| (at + place) as u8).collect();
        let fields = [
            time / 1_000_000,
            time % 1_000_000,
            body.len() as u64,
            body.len() as u64,
        ];
        bytes.extend(
            fields
                .iter()
                .flat_map(|field| (*field as u32).to_le_bytes()),
        );
        bytes.extend(body);
    }
    bytes
}

/// Writes files into a fresh folder and opens them as one run.
fn run_over(
    files: &[(&str, &[u8])],
    options: &Options,
) -> (tempfile::TempDir, Run, Vec<CaptureError>) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = files
        .iter()
        .map(|(name, bytes)| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        })
        .collect();
    let (run, errors) = Run::open(&paths, options);
    (folder, run, errors)
}

fn order(run: &mut Run) -> Vec<(u16, u64)> {
    all(run)
        .iter()
        .map(|(packet, _)| (packet.frame.capture(), packet.frame.number()))
        .collect()
}

#[test]
fn a_header_alone_is_a_capture_without_packets() {
    let (packets, file) = read(&pcap(&[])).unwrap();
    assert!(packets.is_empty());
    assert!(!file.truncated && file.warnings.is_empty());
    assert_eq!(
        (file.format.as_str(), file.link_types.as_slice()),
        ("pcap", ["ETHERNET".to_owned()].as_slice())
    );
}

#[test]
fn what_is_no_capture_is_named_and_the_others_are_read() {
    let good = pcap(&[1, 2]);
    let files: [(&str, &[u8]); 4] = [
        ("empty.pcap", b""),
        ("a.pcap", &good),
        ("photo.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
        ("b.pcap", &good),
    ];
    let (folder, mut run, errors) = run_over(&files, &Options::default());
    let missing = folder.path().join("missing.pcap");
    let (_, more) = Run::open(&[missing, folder.path().to_owned()], &Options::default());
    assert!(
        matches!(
            more.as_slice(),
            [CaptureError::Io { .. }, CaptureError::Io { .. }]
        ),
        "{more:?}"
    );
    assert!(matches!(&errors[0], CaptureError::Empty { path } if path.ends_with("empty.pcap")));
    assert!(
        matches!(&errors[1], CaptureError::NotACapture { path, starts }
        if path.ends_with("photo.jpg") && starts == "ff d8 ff e0 00 10 4a 46")
    );
    assert_eq!(order(&mut run), [(0, 1), (1, 1), (0, 2), (1, 2)]);
    let files = run.finish();
    assert!(files[0].path.ends_with("a.pcap") && files[1].path.ends_with("b.pcap"));
}

#[test]
fn a_cut_file_gives_what_came_before_with_the_byte_of_the_cut() {
    let whole = pcap(&[1, 2, 3]);
    let (_, file) = read(&whole[..whole.len() - 1]).unwrap();
    assert_eq!(file.packets, 2);
    assert!(file.truncated);
    assert!(
        file.warnings[0].contains(&format!("byte {}", whole.len() - 1)),
        "{:?}",
        file.warnings
    );
    let (packets, file) = read(&whole[..10]).unwrap();
    assert!(packets.is_empty() && file.truncated);
}

#[test]
fn damage_ends_the_reading_with_its_byte() {
    let mut bytes = pcap(&[1, 2, 3, 4]);
    let at = 24 + 16 + 40 + 16 + 41;
    bytes[at + 11] = 0x7f;
    let (packets, file) = read(&bytes).unwrap();
    assert_eq!(packets.len(), 2);
    assert!(file.truncated);
    assert!(
        file.warnings[0].starts_with(&format!("damaged at byte {at}: ")),
        "{:?}",
        file.warnings
    );
}

#[test]
fn a_compressed_capture_says_so_and_a_cut_one_gives_its_beginning() {
    use std::io::Write;
    let times: Vec<u64> = (0..20_000).collect();
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(&pcap(&times)).unwrap();
    let stored = writer.finish().unwrap();
    let (whole, file) = read(&stored).unwrap();
    assert_eq!(
        (file.format.as_str(), file.packets, file.truncated),
        ("pcap+gzip", 20_000, false)
    );
    let (part, file) = read(&stored[..stored.len() / 2]).unwrap();
    assert!(
        file.truncated && file.warnings[0].contains("decompression"),
        "{:?}",
        file.warnings
    );
    assert!(part.len() > 1_000 && whole.starts_with(&part));
}

#[test]
fn files_are_one_run_in_time_order_whatever_the_order_they_are_named_in() {
    let first = pcap(&(0..10_000).collect::<Vec<_>>());
    let second = pcap(&(10_000..20_000).collect::<Vec<_>>());
    let (_folder, mut run, errors) =
        run_over(&[("b", &second), ("a", &first)], &Options::default());
    assert!(errors.is_empty());
    let (read, total) = run.progress();
    assert_eq!(
        (read, total),
        (0, Some((first.len() + second.len()) as u64))
    );
    let expected: Vec<(u16, u64)> = (1..=10_000)
        .map(|n| (1, n))
        .chain((1..=10_000).map(|n| (0, n)))
        .collect();
    assert_eq!(order(&mut run), expected);
    assert_eq!(run.progress(), (total.unwrap(), total));
    let files = run.finish();
    assert!(files[0].path.ends_with('b') && files[0].packets == 10_000);
    assert!(files.iter().all(|file| file.warnings.is_empty()));
}

#[test]
fn interleaved_files_are_merged_packet_by_packet_with_their_own_bytes() {
    let even = pcap(&(0..9_000).map(|n| 2 * n).collect::<Vec<_>>());
    let odd = pcap(&(0..9_000).map(|n| 2 * n + 1).collect::<Vec<_>>());
    let alone = read(&odd).unwrap().0;
    let (_folder, mut run, _) = run_over(&[("even", &even), ("odd", &odd)], &Options::default());
    let packets = all(&mut run);
    assert_eq!(packets.len(), 18_000);
    assert!(
        packets
            .windows(2)
            .all(|pair| pair[0].0.time < pair[1].0.time)
    );
    let of_odd = packets
        .iter()
        .filter(|(packet, _)| packet.frame.capture() == 1);
    assert!(
        of_odd
            .zip(&alone)
            .all(|(merged, alone)| merged.1 == alone.1)
    );
}

#[test]
fn a_clock_that_runs_backwards_keeps_the_order_of_its_file() {
    let (_folder, mut run, _) = run_over(
        &[("a", &pcap(&[5, 1, 9])), ("b", &pcap(&[6, 7]))],
        &Options::default(),
    );
    assert_eq!(order(&mut run), [(0, 1), (0, 2), (1, 1), (1, 2), (0, 3)]);
    let files = run.finish();
    assert_eq!(
        (files[0].first, files[0].last),
        (Some(Timestamp(1_000)), Some(Timestamp(9_000)))
    );
}

#[test]
fn a_file_that_goes_away_before_its_time_is_told() {
    let (folder, mut run, errors) = run_over(
        &[("a", &pcap(&[1])), ("b", &pcap(&[2]))],
        &Options::default(),
    );
    assert!(errors.is_empty());
    fs::remove_file(folder.path().join("b")).unwrap();
    assert_eq!(order(&mut run), [(0, 1)]);
    let files = run.finish();
    assert!(!files[0].truncated);
    assert!(files[1].truncated && files[1].warnings[0].starts_with("changed while"));
}

#[test]
fn each_of_many_files_is_hashed_whole() {
    let (a, b) = (pcap(&(0..5_000).collect::<Vec<_>>()), pcap(&[3]));
    let options = Options {
        filter: None,
        hash: true,
        ..Options::default()
    };
    let (_folder, mut run, _) = run_over(&[("a", &a), ("b", &b)], &options);
    while run.next(&mut Batch::default()) {}
    let hashes: Vec<Option<String>> = run.finish().into_iter().map(|file| file.sha256).collect();
    let expected = [a, b].map(|bytes| {
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        Some(super::stream::hex(digest.as_ref(), ""))
    });
    assert_eq!(hashes, expected);
}

#[test]
fn packets_that_stand_in_two_files_are_told() {
    let times: Vec<u64> = (0..1_000).collect();
    let (_folder, mut run, _) = run_over(
        &[("a", &pcap(&times)), ("b", &pcap(&times))],
        &Options::default(),
    );
    assert_eq!(all(&mut run).len(), 2_000);
    let files = run.finish();
    assert!(files[0].warnings.is_empty());
    assert!(
        files[1].warnings[0].starts_with("at least 1000 packets"),
        "{:?}",
        files[1].warnings
    );
}

#[test]
fn same_times_with_other_bytes_are_no_doubles() {
    let times = vec![7; 100];
    let shifted = pcap(&[8; 101]);
    let mut other = pcap(&[7; 101]);
    // without its first packet, every body differs from its neighbour's
    other.drain(24..24 + 16 + 40);
    let (_folder, mut run, _) = run_over(
        &[("a", &pcap(&times[..1])), ("b", &other), ("c", &shifted)],
        &Options::default(),
    );
    let _ = all(&mut run);
    assert!(run.finish().iter().all(|file| file.warnings.is_empty()));
}

#[cfg(feature = "live")]
#[test]
fn a_filter_leaves_packets_out_and_keeps_their_numbers() {
    let options = Options {
        filter: Some("greater 60".to_owned()),
        hash: false,
        ..Options::default()
    };
    let times: Vec<u64> = (0..50).collect();
    let file = pcap(&times);
    for files in [
        vec![("a", file.as_slice())],
        vec![("a", file.as_slice()), ("b", &file)],
    ] {
        let (_folder, mut run, errors) = run_over(&files, &options);
        assert!(errors.is_empty());
        let numbers: Vec<u64> = all(&mut run)
            .iter()
            .filter(|(packet, _)| packet.frame.capture() == 0)
            .map(|(packet, _)| packet.frame.number())
            .collect();
        assert_eq!(numbers, (21..=50).collect::<Vec<_>>());
        let facts = &run.finish()[0];
        assert_eq!(facts.packets, 30);
        assert_eq!(facts.first, Some(Timestamp(20_000)));
    }
}

#[cfg(feature = "live")]
#[test]
fn a_filter_that_does_not_compile_is_an_error() {
    let options = Options {
        filter: Some("tcp prot".to_owned()),
        hash: false,
        ..Options::default()
    };
    let (_folder, _, errors) = run_over(&[("a", &pcap(&[1]))], &options);
    assert!(matches!(errors.as_slice(), [CaptureError::Filter { .. }]));
}

#[cfg(not(feature = "live"))]
#[test]
fn a_filter_needs_the_feature_and_says_so() {
    let options = Options {
        filter: Some("tcp".to_owned()),
        hash: false,
        ..Options::default()
    };
    let (_folder, _, errors) = run_over(&[("a", &pcap(&[1]))], &options);
    assert!(
        errors[0].to_string().contains("feature `live`"),
        "{errors:?}"
    );
}

/// Reads in pieces of these sizes, over and over.
struct Pieces {
    bytes: std::io::Cursor<Vec<u8>>,
    sizes: Vec<usize>,
    at: usize,
}

impl std::io::Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.at += 1;
        let size = self.sizes[self.at % self.sizes.len()].min(buffer.len());
        self.bytes.read(&mut buffer[..size])
    }
}

proptest! {
    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        assert_reads(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_magic_end(
        magic in 0..9_usize,
        bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(6), any::<u8>()], 0..600),
    ) {
        let starts: [&[u8]; 9] = [
            b"\xd4\xc3\xb2\xa1\x02\0\x04\0", b"\xa1\xb2\xc3\xd4\0\x02\0\x04", b"\x4d\x3c\xb2\xa1\x02\0\x04\0", b"\x34\xcd\xb2\xa1\x02\0\x04\0",
            b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0\x01\0\0\0\x14\0\0\0\x01\0\0\0\0\0\0\0\x14\0\0\0",
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\xfd7zXZ\0",
        ];
        assert_reads(&[starts[magic], &bytes].concat());
    }

    #[test]
    fn a_capture_cut_anywhere_gives_a_prefix(count in 0..60_u64, cut in any::<proptest::sample::Index>()) {
        let bytes = pcap(&(0..count).collect::<Vec<_>>());
        let whole = read(&bytes).unwrap().0;
        let cut = cut.index(bytes.len() + 1);
        let part = read(&bytes[..cut]).map(|(packets, _)| packets).unwrap_or_default();
        prop_assert!(whole.starts_with(&part));
        prop_assert!(cut < bytes.len() || part.len() == whole.len());
    }

    #[test]
    fn a_flipped_byte_changes_nothing_before_it(place in any::<proptest::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = pcap(&(0..100).collect::<Vec<_>>());
        let whole = read(&bytes).unwrap().0;
        // behind the records that tell the layout
        let place = 3_000 + place.index(bytes.len() - 3_000);
        bytes[place] ^= flip;
        let (packets, _) = read(&bytes).unwrap();
        let mut end = 24;
        let before = whole.iter().take_while(|(packet, _)| {
            end += 16 + packet.captured as usize;
            end <= place
        });
        let before: Vec<_> = before.cloned().collect();
        prop_assert!(packets.starts_with(&before));
    }

    #[test]
    fn how_the_bytes_arrive_does_not_show(sizes in proptest::collection::vec(1..5_000_usize, 1..8)) {
        let bytes = pcap(&(0..3_000).collect::<Vec<_>>());
        let whole = read(&bytes).unwrap().0;
        let reader = Pieces { bytes: std::io::Cursor::new(bytes), sizes, at: 0 };
        let mut run = Run::read("pieces", Box::new(reader), &Options::default()).unwrap();
        prop_assert!(all(&mut run) == whole);
    }
}

#[test]
fn real_captures_hold_as_many_packets_as_others_count() {
    let Some(corpus) = corpus() else { return };
    let mut wrong = Vec::new();
    for row in manifest(&corpus) {
        let (name, counted) = (&row[0], row[8].parse::<u64>().unwrap());
        // The table counts frames; capinfos counts neither the 4 custom blocks of these, nor anything in link types that it does not know.
        let counted = if name.ends_with("-test017.pcapng") || name.ends_with("-test018.pcapng") {
            counted - 4
        } else {
            counted
        };
        let unknown = row[11] == "?";
        let path = corpus.join("captures").join(name);
        if !path.exists() {
            continue;
        }
        let (mut run, errors) = Run::open(
            &[path],
            &Options {
                filter: None,
                hash: true,
                ..Options::default()
            },
        );
        let packets = all(&mut run).len() as u64;
        let files = run.finish();
        match files.as_slice() {
            [file] if file.packets == packets && (unknown || counted == packets) => {
                if file.sha256.as_deref() != Some(row[6].as_str()) {
                    wrong.push(format!("{name}: hash {:?}", file.sha256));
                }
            }
            _ => wrong.push(format!(
                "{name}: {packets}, not {counted}: {errors:?} {files:?}"
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn real_captures_cut_anywhere_give_a_prefix_and_flipped_bytes_do_no_harm() {
    let Some(corpus) = corpus() else { return };
    for row in manifest(&corpus) {
        let path = corpus.join("captures").join(&row[0]);
        let Ok(mut bytes) = fs::read(&path) else {
            continue;
        };
        bytes.truncate(20_000);
        let Some((whole, _)) = read(&bytes) else {
            continue;
        };
        for cut in (0..bytes.len()).step_by(bytes.len() / 20 + 1) {
            let part = read(&bytes[..cut])
                .map(|(packets, _)| packets)
                .unwrap_or_default();
            // three records tell an odd layout from the usual one
            let told = part.len() > 2 || whole.len() < 3;
            assert!(!told || whole.starts_with(&part), "{} cut at {cut}", row[0]);
        }
        for flip in (0..bytes.len()).step_by(bytes.len() / 20 + 1) {
            bytes[flip] ^= 0x81;
            assert_reads(&bytes);
        }
    }
}

/// Prints what a 74-byte packet costs; for release builds, run by hand.
#[test]
#[ignore = "a measurement: run it alone, in release mode"]
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn how_long_a_packet_takes() {
    const COUNT: u64 = 4_000_000;
    // the 35th body is 74 bytes long
    let record = pcap(&[7; 35]).split_off(24 + 34 * 16 + (40..74).sum::<usize>());
    assert_eq!(record.len(), 16 + 74);
    let mut bytes = pcap(&[]);
    for _ in 0..COUNT {
        bytes.extend_from_slice(&record);
    }
    let size = bytes.len() as f64;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcap");
    fs::write(&path, &bytes).unwrap();
    for _ in 0..5 {
        let begin = std::time::Instant::now();
        let (mut run, _) = Run::open(std::slice::from_ref(&path), &Options::default());
        let mut batch = Batch::default();
        while run.next(&mut batch) {}
        let nanos = begin.elapsed().as_nanos() as f64;
        assert_eq!(run.finish()[0].packets, COUNT);
        eprintln!(
            "{:.1} ns a packet, {:.1} GB/s",
            nanos / COUNT as f64,
            size / nanos
        );
    }
}
