//! Whole files through the door.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Everything that a run gives.
fn all(run: &mut Run) -> Vec<(Packet, Vec<u8>)> {
    let mut batch = Batch::default();
    let mut packets = Vec::new();
    while run.next(&mut batch) {
        for packet in &batch.packets {
            let bytes = batch.bytes_of(packet);
            assert_eq!(bytes.len(), packet.captured as usize);
            packets.push((*packet, bytes.to_vec()));
        }
    }
    packets
}

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
