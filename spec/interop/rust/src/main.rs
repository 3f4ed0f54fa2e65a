//! Reads and answers the lines of cases.lua.
use http::{HeaderMap, HeaderValue};
use standardwebhooks::Webhook;

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn answer(words: &[&str]) -> String {
    let webhook = Webhook::new(words[2]).unwrap();
    let body = from_hex(words[words.len() - 1]);
    if words[0] == "sign" {
        return webhook.sign(words[3], words[4].parse().unwrap(), &body).unwrap();
    }
    let mut headers = HeaderMap::new();
    for (name, word) in [("webhook-id", 3), ("webhook-timestamp", 4), ("webhook-signature", 5)] {
        headers.insert(name, HeaderValue::from_str(words[word]).unwrap());
    }
    let verdict = if webhook.verify(&body, &headers).is_ok() { "accept" } else { "refuse" };
    verdict.to_string()
}

fn main() {
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split('\t').collect();
        println!("{}\t{}", words[1], answer(&words));
    }
}
