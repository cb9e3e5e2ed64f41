//! What the caches of all pools hold and have done, as JSON for the control plane (src/kiteway/envoy/calls.py).

use std::fmt::Write;

use crate::cache::pool::registry;
use crate::cache::pool::{Counts, Report};
use crate::host::clock::BootTime;
use crate::wire::write_json::{list, text};

/// Writes a member of an object:
///
/// `"cache": {"POOL": {"bytes": 0, "entries": 0, "generation": 0, "closed": false, "sample_age_ms": null, "outcomes": {"hit":
/// 0, "joined": 0, "miss": 0, "bypass": {"REASON": 0}}, "headers": [""]}}`
///
/// where `headers` has the names of headers that keep the reads of clients apart.
pub fn write(json: &mut String, now: BootTime) {
    json.push_str("\"cache\":{");
    for (place, (name, pool)) in registry::all().iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        text(json, name.as_bytes());
        json.push(':');
        write_pool(json, &pool.report(now));
    }
    json.push('}');
}

fn write_pool(json: &mut String, report: &Report) {
    let Counts { hit, joined, miss, .. } = report.outcomes;
    let _ = write!(
        json,
        "{{\"bytes\":{},\"entries\":{},\"generation\":{},\"closed\":{},\"sample_age_ms\":",
        report.bytes, report.entries, report.generation, report.is_closed
    );
    let _ = match report.sample_age {
        Some(age) => write!(json, "{}", age.as_millis()),
        None => write!(json, "null"),
    };
    let _ = write!(
        json,
        ",\"outcomes\":{{\"hit\":{hit},\"joined\":{joined},\"miss\":{miss},\"bypass\":{{"
    );
    for (place, (reason, count)) in report.bypass.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let _ = write!(json, "{comma}\"{}\":{count}", reason.label());
    }
    json.push_str("}},\"headers\":");
    list(json, &report.headers, |json, header| text(json, header.as_bytes()));
    json.push('}');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cache::reason::Reason;
    use crate::wire::json::{parse_object, Value};

    #[test]
    fn the_report_of_a_pool_is_json_with_all_that_it_says() {
        let report = Report {
            bytes: 10,
            entries: 11,
            generation: 12,
            is_closed: true,
            sample_age: Some(Duration::from_millis(13)),
            outcomes: Counts { hit: 1, joined: 2, miss: 3, bypass: 11 },
            bypass: vec![(Reason::Closed, 5), (Reason::Strong, 6)],
            headers: vec!["x-tenant".to_owned()],
        };
        let mut json = String::new();
        write_pool(&mut json, &report);

        assert_eq!(
            concat!(
                r#"{"bytes":10,"entries":11,"generation":12,"closed":true,"sample_age_ms":13,"#,
                r#""outcomes":{"hit":1,"joined":2,"miss":3,"bypass":{"closed":5,"strong":6}},"#,
                r#""headers":["x-tenant"]}"#
            ),
            json
        );
        let mut json = String::new();
        write_pool(&mut json, &Report { sample_age: None, ..report });
        let mut object = parse_object(json.as_bytes()).unwrap();
        assert_eq!(Some(Value::Null), object.take("sample_age_ms"));
    }

    #[test]
    fn every_pool_in_use_is_in_the_report() {
        let pools = ["test/report/1", "test/report/2"].map(registry::pool);

        let mut json = "{".to_owned();
        write(&mut json, BootTime::from_nanos(0));
        json.push('}');

        let Some(Value::Object(mut all)) = parse_object(json.as_bytes()).unwrap().take("cache")
        else {
            panic!("{json}")
        };
        assert!(all.take("test/report/1").is_some() && all.take("test/report/2").is_some());
        drop(pools);
    }
}
