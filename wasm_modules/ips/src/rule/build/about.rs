//! Options that say what the rule is, and of which flows.

use alloc::{format, string::ToString};

use super::Builder;
use crate::{
    app::AppProto,
    rule::{
        error::{OptionResult, invalid, unsupported},
        model::{AppLayerProtocol, TxNumber},
        number::{compare, number_up_to},
        options::{bits, meta, threshold},
        parse::Context,
    },
};

impl Builder {
    pub(super) fn meta_option(&mut self, name: &str, value: &str, context: &Context<'_>) -> OptionResult<bool> {
        let u32_of = |value: &str| number_up_to(value, u64::from(u32::MAX)).map(|n| u32::try_from(n).unwrap_or(0));
        match name {
            "msg" => self.meta.msg = meta::quoted(value)?,
            "sid" => {
                self.meta.sid = u32_of(value)?;
                self.has_sid = true;
            }
            "gid" => self.meta.gid = u32_of(value)?,
            "rev" => self.meta.rev = u32_of(value)?,
            "priority" => {
                let priority = number_up_to(value, 255)?;
                self.meta.priority = u8::try_from(priority).unwrap_or(3);
                self.has_priority = true;
            }
            "classtype" => {
                self.meta.class = value.to_string();
                // As Suricata does: a class that nobody described has priority 3.
                if let Some((text, priority)) = context.classes.get(value) {
                    self.meta.category = text.to_string();
                    if !self.has_priority {
                        self.meta.priority = priority;
                    }
                }
            }
            "reference" => self.meta.references.push(meta::reference(value)?),
            "metadata" => self.meta.metadata.extend(meta::metadata(value)),
            "target" => {
                self.meta.target_is_source = Some(match value {
                    "src_ip" => true,
                    "dest_ip" => false,
                    _ => return invalid!("`{value}` is neither src_ip nor dest_ip"),
                });
            }
            "noalert" | "prefilter" | "alert" if !value.is_empty() => return invalid!("it takes no value"),
            "noalert" => self.rule.noalert = true,
            "alert" => self.rule.alert = true,
            // A hint to the engine: which test is tried first changes no result.
            "prefilter" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn state_option(&mut self, name: &str, value: &str, context: &mut Context<'_>) -> OptionResult<bool> {
        let bit = match name {
            "flow" => {
                self.flow(value)?;
                return Ok(true);
            }
            "flowint" => {
                self.rule.ints.push(bits::flowint(value, &mut context.symbols)?);
                return Ok(true);
            }
            "threshold" | "detection_filter" => {
                if self.rule.threshold.is_some() {
                    return unsupported!(name, "more than one threshold or detection_filter in a rule");
                }
                self.rule.threshold = Some(threshold::parse(value, name == "detection_filter")?);
                return Ok(true);
            }
            "app-layer-protocol" => {
                self.app_layer_protocol(value)?;
                return Ok(true);
            }
            "dns.opcode" => {
                self.rule.numbers.push(TxNumber::DnsOpcode(compare(value, 255)?));
                return self.app(AppProto::Dns).map(|()| true);
            }
            "dns.rcode" => {
                self.rule.numbers.push(TxNumber::DnsRcode(compare(value, 0xffff)?));
                return self.app(AppProto::Dns).map(|()| true);
            }
            "flowbits" => bits::flowbits(value, &mut context.symbols)?,
            "xbits" => bits::xbits(value, false, &mut context.symbols)?,
            "hostbits" => bits::xbits(value, true, &mut context.symbols)?,
            _ => return Ok(false),
        };
        match bit {
            Some(bit) => self.rule.bits.push(bit),
            None => self.rule.noalert = true,
        }
        Ok(true)
    }

    fn flow(&mut self, value: &str) -> OptionResult<()> {
        let flow = &mut self.rule.flow;
        flow.given = true;
        for word in value.split(',').map(|word| word.trim().to_ascii_lowercase()) {
            match word.as_str() {
                "to_server" | "from_client" => flow.to_server = true,
                "to_client" | "from_server" => flow.to_client = true,
                "established" => flow.established = true,
                "not_established" => flow.not_established = true,
                "stateless" => flow.stateless = true,
                "only_stream" => flow.only_stream = true,
                "no_stream" => flow.no_stream = true,
                "only_frag" | "no_frag" => {
                    return unsupported!(
                        format!("flow: {word}"),
                        "fragments are reassembled before inspection, `{word}` cannot be told"
                    );
                }
                _ => return invalid!("unknown `{word}`"),
            }
        }
        if flow.to_server && flow.to_client {
            return invalid!("to_server and to_client exclude each other");
        }
        if u8::from(flow.established) + u8::from(flow.not_established) + u8::from(flow.stateless) > 1 {
            return invalid!("established, not_established and stateless exclude each other");
        }
        if flow.only_stream && flow.no_stream {
            return invalid!("only_stream and no_stream exclude each other");
        }
        Ok(())
    }

    fn app_layer_protocol(&mut self, value: &str) -> OptionResult<()> {
        let (negated, name) = match value.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, value),
        };
        let (name, mode) = match name.split_once(',') {
            Some((_, mode)) if mode.trim().is_empty() => return invalid!("no mode behind the comma"),
            Some((name, mode)) => (name.trim(), mode.trim()),
            None => (name, ""),
        };
        // A flow has one protocol here, which never becomes another and is no other's kin.
        if !matches!(mode, "" | "exact" | "final") {
            return unsupported!(
                format!("app-layer-protocol: {mode}"),
                "modes of app-layer-protocol but exact and final are not supported"
            );
        }
        let app = match (name, AppProto::by_name(name)) {
            ("failed", _) => None,
            (_, Some(app)) => Some(app),
            _ => {
                return unsupported!(
                    format!("app-layer-protocol: {name}"),
                    "protocol `{name}` is not recognised in traffic"
                );
            }
        };
        if self.rule.header.app.is_some() {
            return invalid!("the rule's protocol field names an application protocol already");
        }
        self.rule.protocols.push(AppLayerProtocol { app, negated });
        Ok(())
    }
}
