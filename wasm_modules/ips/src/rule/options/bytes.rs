//! `byte_test`, `byte_jump`, `byte_extract`, `byte_math`, `isdataat`: numbers taken from the data.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use crate::rule::{
    error::{OptionResult, invalid, unsupported},
    model::Value,
    number::{number, signed},
};

/// Most variables of a rule.
pub const MOST_VARS: usize = 16;

/// Names of a rule's variables; a variable's number is its place.
#[derive(Debug, Clone, Default)]
pub struct Names(Vec<String>);

impl Names {
    fn find(&self, name: &str) -> Option<u8> {
        self.0.iter().position(|known| known == name).and_then(|at| u8::try_from(at).ok())
    }

    fn define(&mut self, name: &str) -> OptionResult<u8> {
        let sound = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if !sound {
            return invalid!("`{name}` is no variable name");
        }
        if let Some(known) = self.find(name) {
            return Ok(known);
        }
        if self.0.len() == MOST_VARS {
            return unsupported!("byte variables", "more than {MOST_VARS} variables in one rule");
        }
        self.0.push(name.to_string());
        Ok(u8::try_from(self.0.len() - 1).unwrap_or(0))
    }

    /// A number or a variable that an earlier option defined.
    pub fn value<T: TryFrom<i64>>(&self, text: &str) -> OptionResult<Value<T>> {
        let text = text.trim();
        if text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
            return match self.find(text) {
                Some(index) => Ok(Value::Var(index)),
                None => invalid!("unknown byte variable `{text}`"),
            };
        }
        let value = match number(text) {
            Ok(value) => i64::try_from(value).ok(),
            Err(_) => Some(signed(text)?),
        };
        match value.and_then(|value| T::try_from(value).ok()) {
            Some(value) => Ok(Value::Is(value)),
            None => invalid!("`{text}` is out of range"),
        }
    }
}

/// How bytes become a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Most significant byte first.
    Big,
    /// Least significant byte first.
    Little,
    /// Text in this base; 0: by its prefix.
    Text(u32),
}

/// Where a number lies and how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Length in bytes.
    pub bytes: Value<u32>,
    /// From the start or the last match.
    pub offset: Value<i32>,
    /// From the last match.
    pub relative: bool,
    /// How it is read.
    pub format: Format,
    /// Bits that count; the result is shifted down to the lowest of them.
    pub bitmask: Option<u64>,
}

impl Field {
    fn new(bytes: Value<u32>, offset: Value<i32>) -> Self {
        Self { bytes, offset, relative: false, format: Format::Big, bitmask: None }
    }

    /// An option that all families share; false when it is none.
    fn option(&mut self, word: &str, argument: Option<&str>, text: &mut bool) -> OptionResult<bool> {
        match (word, argument) {
            ("relative", None) => self.relative = true,
            ("big", None) => self.format = Format::Big,
            ("little", None) => self.format = Format::Little,
            ("string", None) => {
                *text = true;
                self.format = Format::Text(0);
            }
            ("hex", None) if *text => self.format = Format::Text(16),
            ("dec", None) if *text => self.format = Format::Text(10),
            ("oct", None) if *text => self.format = Format::Text(8),
            ("bitmask", Some(mask)) => self.bitmask = Some(number(mask)?),
            ("dce", _) => return unsupported!("dce", "`dce` takes its byte order from DCERPC, which is not parsed"),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn check(&self) -> OptionResult<()> {
        let most = if matches!(self.format, Format::Text(_)) { 23 } else { 8 };
        match self.bytes {
            Value::Is(bytes) if bytes > most => invalid!("{bytes} bytes, {most} are possible"),
            _ => Ok(()),
        }
    }
}

/// The words of an option: split at commas, each a word and perhaps an argument.
fn words(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.split(',').map(|part| {
        let part = part.trim();
        match part.split_once(char::is_whitespace) {
            Some((word, argument)) => (word, Some(argument.trim())),
            None => (part, None),
        }
    })
}

fn unknown<T>(word: &str) -> OptionResult<T> {
    invalid!("unknown option `{word}`")
}

/// A comparison of `byte_test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Eq,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `&`: a common bit.
    And,
    /// `^`: a bit that differs.
    Xor,
}

/// `byte_test`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteTest {
    /// The number.
    pub field: Field,
    /// The comparison.
    pub operator: Operator,
    /// Whether it must fail.
    pub negated: bool,
    /// What it is compared with.
    pub value: Value<u64>,
}

/// Parse `byte_test`.
pub fn byte_test(text: &str, names: &Names) -> OptionResult<ByteTest> {
    let parts: Vec<&str> = text.splitn(5, ',').map(str::trim).collect();
    let [bytes, operator, value, offset, ..] = parts[..] else {
        return invalid!("bytes, operator, value and offset are needed");
    };
    let (negated, sign) = match operator.strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, operator),
    };
    let operator = match sign {
        "=" => Operator::Eq,
        "" if negated => Operator::Eq,
        "<" => Operator::Lt,
        "<=" => Operator::Le,
        ">" => Operator::Gt,
        ">=" => Operator::Ge,
        "&" => Operator::And,
        "^" => Operator::Xor,
        _ => return invalid!("`{operator}` is no operator"),
    };
    let value = match names.value::<i64>(value) {
        Ok(Value::Var(index)) => Value::Var(index),
        _ => Value::Is(number(value)?),
    };
    let mut field = Field::new(names.value(bytes)?, names.value(offset)?);
    let mut is_text = false;
    for (word, argument) in parts.get(4).into_iter().flat_map(|rest| words(rest)) {
        if !field.option(word, argument, &mut is_text)? {
            return unknown(word);
        }
    }
    field.check()?;
    Ok(ByteTest { field, operator, negated, value })
}

/// What a jump counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The end of the number.
    Here,
    /// The buffer's start.
    Beginning,
    /// The buffer's end.
    End,
}

/// `byte_jump`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteJump {
    /// The number.
    pub field: Field,
    /// Times this.
    pub multiplier: u64,
    /// Rounded up to a multiple of 4.
    pub align: bool,
    /// Plus this.
    pub post_offset: i64,
    /// From there.
    pub from: From,
}

/// Parse `byte_jump`.
pub fn byte_jump(text: &str, names: &Names) -> OptionResult<ByteJump> {
    let parts: Vec<&str> = text.splitn(3, ',').map(str::trim).collect();
    let [bytes, offset, ..] = parts[..] else { return invalid!("bytes and offset are needed") };
    let mut jump = ByteJump {
        field: Field::new(names.value(bytes)?, names.value(offset)?),
        multiplier: 1,
        align: false,
        post_offset: 0,
        from: From::Here,
    };
    let mut is_text = false;
    for (word, argument) in parts.get(2).into_iter().flat_map(|rest| words(rest)) {
        match (word, argument) {
            ("multiplier", Some(value)) => jump.multiplier = number(value)?,
            ("align", None) => jump.align = true,
            ("from_beginning", None) => jump.from = From::Beginning,
            ("from_end", None) => jump.from = From::End,
            ("post_offset", Some(value)) => jump.post_offset = signed(value)?,
            _ if jump.field.option(word, argument, &mut is_text)? => {}
            _ => return unknown(word),
        }
    }
    jump.field.check()?;
    Ok(jump)
}

/// `byte_extract`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteExtract {
    /// The number.
    pub field: Field,
    /// Times this.
    pub multiplier: u64,
    /// Rounded up to a multiple of this, unless 0.
    pub align: u64,
    /// The variable that gets it.
    pub into: u8,
}

/// Parse `byte_extract`; it defines a variable.
pub fn byte_extract(text: &str, names: &mut Names) -> OptionResult<ByteExtract> {
    let parts: Vec<&str> = text.splitn(4, ',').map(str::trim).collect();
    let [bytes, offset, name, ..] = parts[..] else { return invalid!("bytes, offset and a name are needed") };
    let field = Field::new(names.value(bytes)?, names.value(offset)?);
    let mut extract = ByteExtract { field, multiplier: 1, align: 0, into: names.define(name)? };
    let mut is_text = false;
    for (word, argument) in parts.get(3).into_iter().flat_map(|rest| words(rest)) {
        match (word, argument) {
            ("multiplier", Some(value)) => extract.multiplier = number(value)?,
            ("align", Some("2")) => extract.align = 2,
            ("align", Some("4")) => extract.align = 4,
            _ if extract.field.option(word, argument, &mut is_text)? => {}
            _ => return unknown(word),
        }
    }
    extract.field.check()?;
    Ok(extract)
}

/// An operation of `byte_math`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oper {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
}

/// `byte_math`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteMath {
    /// The left number.
    pub field: Field,
    /// The operation.
    pub oper: Oper,
    /// The right number.
    pub rvalue: Value<u64>,
    /// The variable that gets the result.
    pub into: u8,
}

/// Parse `byte_math`; it defines a variable.
pub fn byte_math(text: &str, names: &mut Names) -> OptionResult<ByteMath> {
    let (mut bytes, mut offset, mut oper, mut rvalue, mut result) = (None, None, None, None, None);
    let mut field = Field::new(Value::Is(0), Value::Is(0));
    let mut is_text = false;
    for (word, argument) in words(text) {
        match (word, argument) {
            ("bytes", Some(value)) => bytes = Some(names.value(value)?),
            ("offset", Some(value)) => offset = Some(names.value(value)?),
            ("rvalue", Some(value)) => {
                rvalue = Some(match names.value::<i64>(value)? {
                    Value::Var(index) => Value::Var(index),
                    Value::Is(value) => match u64::try_from(value) {
                        Ok(value) if value > 0 => Value::Is(value),
                        _ => return invalid!("rvalue `{value}` is not positive"),
                    },
                });
            }
            ("result", Some(name)) => result = Some(name),
            ("oper", Some(sign)) => {
                oper = Some(match sign {
                    "+" => Oper::Add,
                    "-" => Oper::Sub,
                    "*" => Oper::Mul,
                    "/" => Oper::Div,
                    "<<" => Oper::Shl,
                    ">>" => Oper::Shr,
                    _ => return invalid!("`{sign}` is no operation"),
                });
            }
            ("endian", Some("big")) => field.format = Format::Big,
            ("endian", Some("little")) => field.format = Format::Little,
            ("string", Some(base)) => {
                field.format = match base {
                    "hex" => Format::Text(16),
                    "dec" => Format::Text(10),
                    "oct" => Format::Text(8),
                    _ => return invalid!("`{base}` is no base"),
                };
            }
            _ if field.option(word, argument, &mut is_text)? => {}
            _ => return unknown(word),
        }
    }
    let (Some(bytes), Some(offset), Some(oper), Some(rvalue), Some(result)) = (bytes, offset, oper, rvalue, result)
    else {
        return invalid!("bytes, offset, oper, rvalue and result are needed");
    };
    field.bytes = bytes;
    field.offset = offset;
    field.check()?;
    Ok(ByteMath { field, oper, rvalue, into: names.define(result)? })
}

/// Parse `isdataat`: how far, relative, negated.
pub fn is_data_at(text: &str, names: &Names) -> OptionResult<(Value<u32>, bool, bool)> {
    let (negated, text) = match text.trim().strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.split(',').map(str::trim);
    let at = names.value(parts.next().unwrap_or(""))?;
    let mut relative = false;
    for part in parts {
        match part {
            "relative" => relative = true,
            "rawbytes" => {}
            _ => return unknown(part),
        }
    }
    Ok((at, relative, negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_options() {
        let mut names = Names::default();
        let extract = byte_extract("1, 4, len, relative, multiplier 2", &mut names).unwrap();
        assert!(extract.field.relative && extract.multiplier == 2 && extract.into == 0);
        let test = byte_test("len,!<,0x10,-2,relative,string,dec", &names).unwrap();
        assert_eq!(test.field.bytes, Value::Var(0));
        assert_eq!((test.field.offset, test.value), (Value::Is(-2), Value::Is(16)));
        assert!(test.negated && test.operator == Operator::Lt && test.field.format == Format::Text(10));
        let jump = byte_jump("2,0,relative,string,from_end,post_offset -26, bitmask 0xfe", &names).unwrap();
        assert_eq!((jump.from, jump.post_offset, jump.field.bitmask), (From::End, -26, Some(0xfe)));
        let math = byte_math("bytes 1, offset 1, oper <<, rvalue 2, result x", &mut names).unwrap();
        assert_eq!((math.oper, math.into), (Oper::Shl, 1));
        assert_eq!(is_data_at("!10,relative", &names).unwrap(), (Value::Is(10), true, true));
        for bad in ["9,=,1,0", "1,=,1", "1,~,1,0", "1,=,nope,0", "1,=,1,0,more"] {
            assert!(byte_test(bad, &names).is_err(), "{bad}");
        }
        assert!(byte_jump("4,0,dce", &names).is_err());
        assert!(byte_math("bytes 1, offset 1, oper +, rvalue 0, result x", &mut names).is_err());
    }
}
