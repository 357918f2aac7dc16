//! Numbers taken from data: `byte_test`, `byte_jump`, `byte_extract`, `byte_math`.

use crate::rule::{
    model::Value,
    options::bytes::{ByteExtract, ByteJump, ByteMath, ByteTest, Field, Format, From, MOST_VARS, Oper, Operator},
};

/// Values of a rule's variables.
pub type Vars = [u64; MOST_VARS];

/// The value of `value`.
pub fn value<T: Copy + TryFrom<u64>>(value: Value<T>, vars: &Vars) -> Option<T> {
    match value {
        Value::Is(value) => Some(value),
        Value::Var(index) => T::try_from(*vars.get(usize::from(index))?).ok(),
    }
}

/// A number in the data, and where it ends. `at` is the last match's end.
fn take(field: &Field, data: &[u8], at: usize, vars: &Vars) -> Option<(u64, usize)> {
    let bytes = usize::try_from(value(field.bytes, vars)?).ok()?;
    let base = if field.relative { i64::try_from(at).ok()? } else { 0 };
    let start = usize::try_from(base + i64::from(value(field.offset, vars)?)).ok()?;
    if start >= data.len() {
        return None;
    }
    let part = data.get(start..start.checked_add(bytes)?)?;
    let (number, used) = match field.format {
        Format::Big if bytes <= 8 => (part.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), bytes),
        Format::Little if bytes <= 8 => (part.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), bytes),
        Format::Text(base) => text(part, base)?,
        _ => return None,
    };
    let number = match field.bitmask {
        Some(0) => 0,
        Some(mask) => (number & mask) >> mask.trailing_zeros(),
        None => number,
    };
    Some((number, start + used))
}

/// As C's `strtoull`: blanks, a sign, a prefix, digits; the number and how many bytes it took.
fn text(part: &[u8], base: u32) -> Option<(u64, usize)> {
    let blanks = part.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let signed = matches!(part.get(blanks), Some(b'+' | b'-'));
    let negative = part.get(blanks) == Some(&b'-');
    let mut at = blanks + usize::from(signed);
    let prefixed = part.get(at) == Some(&b'0') && matches!(part.get(at + 1), Some(b'x' | b'X'));
    let base = match (base, prefixed) {
        (0 | 16, true) => {
            at += 2;
            16
        }
        (0, false) if part.get(at) == Some(&b'0') => 8,
        (0, false) => 10,
        (base, _) => base,
    };
    let start = at;
    let mut number = 0u64;
    while let Some(digit) = part.get(at).and_then(|byte| (*byte as char).to_digit(base)) {
        number = number.checked_mul(u64::from(base))?.checked_add(u64::from(digit))?;
        at += 1;
    }
    (at > start).then_some((if negative { number.wrapping_neg() } else { number }, at))
}

/// Whether `test` passes.
pub fn test(test: &ByteTest, data: &[u8], at: usize, vars: &Vars) -> bool {
    let Some((number, _)) = take(&test.field, data, at, vars) else { return false };
    let Some(with) = value(test.value, vars) else { return false };
    let passes = match test.operator {
        Operator::Eq => number == with,
        Operator::Lt => number < with,
        Operator::Le => number <= with,
        Operator::Gt => number > with,
        Operator::Ge => number >= with,
        Operator::And => number & with != 0,
        Operator::Xor => number ^ with != 0,
    };
    passes != test.negated
}

/// Where `jump` leads to, when it stays within the data.
pub fn jump(jump: &ByteJump, data: &[u8], at: usize, vars: &Vars) -> Option<usize> {
    let (number, end) = match jump.field.bytes {
        // No number: only the offsets count.
        Value::Is(0) => {
            let base = if jump.field.relative { at } else { 0 };
            (0, usize::try_from(i64::try_from(base).ok()? + i64::from(value(jump.field.offset, vars)?)).ok()?)
        }
        _ => take(&jump.field, data, at, vars)?,
    };
    let mut number = number.checked_mul(jump.multiplier)?;
    if jump.align {
        number = number.checked_next_multiple_of(4)?;
    }
    let base = match jump.from {
        From::Here => end,
        From::Beginning => 0,
        From::End => data.len(),
    };
    let to = i64::try_from(base).ok()?.checked_add(i64::try_from(number).ok()?)?.checked_add(jump.post_offset)?;
    usize::try_from(to).ok().filter(|to| *to < data.len())
}

/// Take a number into a variable; where it ends.
pub fn extract(extract: &ByteExtract, data: &[u8], at: usize, vars: &mut Vars) -> Option<usize> {
    let (number, end) = take(&extract.field, data, at, vars)?;
    let mut number = number.checked_mul(extract.multiplier)?;
    if extract.align > 0 {
        number = number.checked_next_multiple_of(extract.align)?;
    }
    *vars.get_mut(usize::from(extract.into))? = number;
    Some(end)
}

/// Take a number, calculate, keep the result in a variable; where the number ends.
pub fn math(math: &ByteMath, data: &[u8], at: usize, vars: &mut Vars) -> Option<usize> {
    let (left, end) = take(&math.field, data, at, vars)?;
    let right = value(math.rvalue, vars)?;
    let result = match math.oper {
        Oper::Add => left.wrapping_add(right),
        Oper::Sub => left.wrapping_sub(right),
        Oper::Mul => left.wrapping_mul(right),
        Oper::Div => left.checked_div(right)?,
        Oper::Shl => left.checked_shl(u32::try_from(right).ok()?).unwrap_or(0),
        Oper::Shr => left.checked_shr(u32::try_from(right).ok()?).unwrap_or(0),
    };
    *vars.get_mut(usize::from(math.into))? = result;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::options::bytes::{Names, byte_extract, byte_jump, byte_math, byte_test};

    fn tests(text: &str, data: &[u8], at: usize) -> bool {
        test(&byte_test(text, &Names::default()).unwrap(), data, at, &[0; MOST_VARS])
    }

    #[test]
    fn numbers() {
        let data = b"\x01\x02\x03\x04 0x1f 077 12z";
        assert!(tests("2,=,258,0", data, 0) && tests("2,=,513,0,little", data, 0));
        assert!(tests("1,=,3,0,relative", data, 2) && tests("1,=,2,-1,relative", data, 2));
        assert!(tests("1,=,1,1,bitmask 0x0e", data, 0) && tests("1,&,4,3", data, 0) && !tests("1,!&,4,3", data, 0));
        assert!(tests("4,=,31,5,string,hex", data, 0) && tests("3,=,63,10,string,oct", data, 0));
        assert!(tests("3,=,12,14,string,dec", data, 0) && !tests("1,=,0,16,string,dec", data, 0));
        assert!(!tests("2,>,0,16", data, 0) && !tests("1,>=,0,100", data, 0) && !tests("1,>=,0,-1", data, 0));
    }

    #[test]
    fn jumps_and_variables() {
        let data = b"\x02\x00\x05abcdef";
        let names = &Names::default();
        let to = |text: &str| jump(&byte_jump(text, names).unwrap(), data, 0, &[0; MOST_VARS]);
        assert_eq!(to("1,0"), Some(3));
        assert_eq!(to("1,0,multiplier 2"), Some(5));
        assert_eq!(to("1,2,align"), None);
        assert_eq!(to("1,0,align"), Some(5));
        assert_eq!(to("1,0,from_beginning"), Some(2));
        assert_eq!(to("1,0,from_end,post_offset -4"), Some(7));
        assert_eq!(to("1,0,post_offset 100"), None);
        let (mut names, mut vars) = (Names::default(), [0; MOST_VARS]);
        assert_eq!(extract(&byte_extract("1,0,a", &mut names).unwrap(), data, 0, &mut vars), Some(1));
        let times = byte_math("bytes 1, offset 2, oper *, rvalue a, result b", &mut names).unwrap();
        assert_eq!(math(&times, data, 0, &mut vars), Some(3));
        assert_eq!(vars[..2], [2, 10]);
        let by_zero = byte_math("bytes 1, offset 0, oper /, rvalue a, result b", &mut names).unwrap();
        assert_eq!(math(&by_zero, data, 0, &mut [0; MOST_VARS]), None);
    }
}
