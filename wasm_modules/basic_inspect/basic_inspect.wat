;; basic_inspect: blocked destination ports, impossible TCP flags, byte signatures in the payload.
;;
;; Configuration, every option optional:
;;   {"ports": [23, 2323], "flags": true, "null": true, "xmas": true, "syn_fin": true, "signatures": ["cmd.exe"]}
;; README.md documents the options and the numbers of the alerts.
;;
;; Memory, all below the allocator's blocks:
;;   0x0010  texts: one length byte, then the text           0x0400  blocked ports: one bit each, 8 KiB
;;   0x2400  signatures: 16 slots of 64 bytes, length first  0x2800  256 bytes: 1 where a signature begins so
;;   0x2900  scratch for an option's name                    0x3000  first block that sxf_alloc hands out
(module
  (import "sxf" "alert" (func $alert (param $packet i32) (param $severity i32) (param $signature i32)
                                     (param $text i32) (param $len i32)))
  (import "sxf" "log" (func $log (param $level i32) (param $text i32) (param $len i32)))
  (memory (export "memory") 2)

  (data (i32.const 0x010) "\19an object { } is expected") ;; $e_object
  (data (i32.const 0x030) "\26an option's name in quotes is expected") ;; $e_key
  (data (i32.const 0x060) "\27a : is expected behind an option's name") ;; $e_colon
  (data (i32.const 0x090) "\47unknown option; there are ports, flags, null, xmas, syn_fin, signatures") ;; $e_unknown
  (data (i32.const 0x0e0) "\18an array [ ] is expected") ;; $e_array
  (data (i32.const 0x100) "\32ports: each must be a whole number from 1 to 65535") ;; $e_port
  (data (i32.const 0x140) "\35flags, null, xmas, syn_fin: true or false is expected") ;; $e_bool
  (data (i32.const 0x180) "\32signatures: each must be a string of 1 to 63 bytes") ;; $e_string
  (data (i32.const 0x1c0) "\16signatures: at most 16") ;; $e_many
  (data (i32.const 0x1e0) "\3bsignatures: the only escapes are \" \\ / and u00XX behind a \\") ;; $e_escape
  (data (i32.const 0x220) "\1fthere is text behind the object") ;; $e_tail
  (data (i32.const 0x240) "\18blocked destination port") ;; $a_port
  (data (i32.const 0x260) "\25TCP segment without flags (NULL scan)") ;; $a_null
  (data (i32.const 0x290) "\26TCP flags FIN, PSH and URG (XMAS scan)") ;; $a_xmas
  (data (i32.const 0x2c0) "\1eTCP flags SYN and FIN together") ;; $a_syn_fin
  (data (i32.const 0x2e0) "\19byte signature in payload") ;; $a_signature
  (data (i32.const 0x300) "\05ports") ;; $k_ports
  (data (i32.const 0x310) "\05flags") ;; $k_flags
  (data (i32.const 0x320) "\04null") ;; $k_null
  (data (i32.const 0x330) "\04xmas") ;; $k_xmas
  (data (i32.const 0x340) "\07syn_fin") ;; $k_syn_fin
  (data (i32.const 0x350) "\0asignatures") ;; $k_signatures
  (data (i32.const 0x360) "\04true") ;; $k_true
  (data (i32.const 0x370) "\05false") ;; $k_false

  (global $next (mut i32) (i32.const 0x3000)) ;; next block of the allocator
  (global $at (mut i32) (i32.const 0))        ;; the parser's place in the configuration
  (global $end (mut i32) (i32.const 0))       ;; first byte behind it
  (global $error (mut i32) (i32.const 0))     ;; first error's text, 0 for none
  (global $null (mut i32) (i32.const 1))      ;; the three checks of flags, on or off
  (global $xmas (mut i32) (i32.const 1))
  (global $syn_fin (mut i32) (i32.const 1))
  (global $signatures (mut i32) (i32.const 0)) ;; number of signatures

  ;; ---- what the host asks for ----

  (func (export "sxf_abi_version") (result i32) (i32.const 1))

  ;; Blocks one behind the other, 16-byte aligned; 0 when the memory cannot grow.
  (func (export "sxf_alloc") (param $len i32) (result i32)
    (local $block i32) (local $end i64) (local $have i64)
    (local.set $block (global.get $next))
    ;; In 64 bits, so that no sum wraps around.
    (local.set $end (i64.and
      (i64.add (i64.add (i64.extend_i32_u (local.get $block)) (i64.extend_i32_u (local.get $len))) (i64.const 15))
      (i64.const -16)))
    (local.set $have (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16)))
    (if (i64.ge_u (local.get $end) (i64.const 0x40000000)) (then (return (i32.const 0))))
    (if (i64.gt_u (local.get $end) (local.get $have)) (then
      (if (i32.eq (i32.const -1) (memory.grow (i32.wrap_i64
            (i64.shr_u (i64.add (i64.sub (local.get $end) (local.get $have)) (i64.const 0xffff)) (i64.const 16)))))
        (then (return (i32.const 0))))))
    (global.set $next (i32.wrap_i64 (local.get $end)))
    (local.get $block))

  (func (export "sxf_init") (param $config i32) (param $len i32) (result i32)
    (global.set $at (local.get $config))
    (global.set $end (i32.add (local.get $config) (local.get $len)))
    (if (call $object) (then (return (i32.const 0))))
    (call $log (i32.const 1) (i32.add (global.get $error) (i32.const 1)) (i32.load8_u (global.get $error)))
    (i32.const 1))

  ;; ---- the configuration's parser: each function returns 1, or 0 after $fail ----

  (func $fail (param $text i32) (result i32)
    (if (i32.eqz (global.get $error)) (then (global.set $error (local.get $text))))
    (i32.const 0))

  ;; The next byte without taking it, -1 at the end.
  (func $peek (result i32)
    (if (i32.ge_u (global.get $at) (global.get $end)) (then (return (i32.const -1))))
    (i32.load8_u (global.get $at)))

  (func $advance (global.set $at (i32.add (global.get $at) (i32.const 1))))

  ;; Skip white space: space, tab, line feed, carriage return.
  (func $space (local $c i32)
    (loop $again
      (local.set $c (call $peek))
      (if (i32.or (i32.or (i32.eq (local.get $c) (i32.const 0x20)) (i32.eq (local.get $c) (i32.const 0x09)))
                  (i32.or (i32.eq (local.get $c) (i32.const 0x0a)) (i32.eq (local.get $c) (i32.const 0x0d))))
        (then (call $advance) (br $again)))))

  ;; Take byte $c when it comes next behind white space; 1 if so. Not an error otherwise.
  (func $take (param $c i32) (result i32)
    (call $space)
    (if (i32.ne (call $peek) (local.get $c)) (then (return (i32.const 0))))
    (call $advance)
    (i32.const 1))

  ;; Whether the $n bytes at $p are the text at $text.
  (func $is (param $p i32) (param $n i32) (param $text i32) (result i32)
    (if (i32.ne (local.get $n) (i32.load8_u (local.get $text))) (then (return (i32.const 0))))
    (loop $again
      (if (local.get $n) (then
        (if (i32.ne (i32.load8_u (i32.add (local.get $p) (i32.sub (local.get $n) (i32.const 1))))
                    (i32.load8_u (i32.add (local.get $text) (local.get $n))))
          (then (return (i32.const 0))))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $again))))
    (i32.const 1))

  ;; { "name": value, ... } and nothing behind it.
  (func $object (result i32)
    (if (i32.eqz (call $take (i32.const 0x7b))) (then (return (call $fail (i32.const 0x010 (;e_object;))))))
    (if (i32.eqz (call $take (i32.const 0x7d))) (then
      (loop $again
        (if (i32.eqz (call $option)) (then (return (i32.const 0))))
        (br_if $again (call $take (i32.const 0x2c))))
      (if (i32.eqz (call $take (i32.const 0x7d))) (then (return (call $fail (i32.const 0x010 (;e_object;))))))))
    (call $space)
    (if (i32.ne (global.get $at) (global.get $end)) (then (return (call $fail (i32.const 0x220 (;e_tail;))))))
    (i32.const 1))

  ;; "name": value. Names are shorter than 16 bytes and need no escapes.
  (func $option (result i32) (local $n i32) (local $c i32) (local $on i32)
    (if (i32.eqz (call $take (i32.const 0x22))) (then (return (call $fail (i32.const 0x030 (;e_key;))))))
    (loop $again
      (local.set $c (call $peek))
      (if (i32.eq (local.get $c) (i32.const -1)) (then (return (call $fail (i32.const 0x030 (;e_key;))))))
      (call $advance)
      (if (i32.ne (local.get $c) (i32.const 0x22)) (then
        (if (i32.eq (local.get $n) (i32.const 16)) (then (return (call $fail (i32.const 0x090 (;e_unknown;))))))
        (i32.store8 (i32.add (i32.const 0x2900) (local.get $n)) (local.get $c))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $again))))
    (if (i32.eqz (call $take (i32.const 0x3a))) (then (return (call $fail (i32.const 0x060 (;e_colon;))))))
    (if (call $is (i32.const 0x2900) (local.get $n) (i32.const 0x300 (;k_ports;))) (then (return (call $ports))))
    (if (call $is (i32.const 0x2900) (local.get $n) (i32.const 0x350 (;k_signatures;))) (then (return (call $signature_list))))
    (if (call $is (i32.const 0x2900) (local.get $n) (i32.const 0x310 (;k_flags;))) (then
      (local.set $on (call $boolean))
      (global.set $null (local.get $on))
      (global.set $xmas (local.get $on))
      (global.set $syn_fin (local.get $on))
      (return (i32.ne (local.get $on) (i32.const -1)))))
    (if (call $is (i32.const 0x2900) (local.get $n) (i32.const 0x320 (;k_null;))) (then
      (global.set $null (call $boolean))
      (return (i32.ne (global.get $null) (i32.const -1)))))
    (if (call $is (i32.const 0x2900) (local.get $n) (i32.const 0x330 (;k_xmas;))) (then
      (global.set $xmas (call $boolean))
      (return (i32.ne (global.get $xmas) (i32.const -1)))))
    (if (call $is (i32.const 0x2900) (local.get $n) (i32.const 0x340 (;k_syn_fin;))) (then
      (global.set $syn_fin (call $boolean))
      (return (i32.ne (global.get $syn_fin) (i32.const -1)))))
    (call $fail (i32.const 0x090 (;e_unknown;))))

  ;; true is 1, false is 0, anything else -1 after $fail.
  (func $boolean (result i32) (local $start i32) (local $c i32)
    (call $space)
    (local.set $start (global.get $at))
    (loop $again
      (local.set $c (call $peek))
      (if (i32.and (i32.ge_s (local.get $c) (i32.const 0x61)) (i32.le_s (local.get $c) (i32.const 0x7a)))
        (then (call $advance) (br $again))))
    (if (call $is (local.get $start) (i32.sub (global.get $at) (local.get $start)) (i32.const 0x360 (;k_true;)))
      (then (return (i32.const 1))))
    (if (call $is (local.get $start) (i32.sub (global.get $at) (local.get $start)) (i32.const 0x370 (;k_false;)))
      (then (return (i32.const 0))))
    (drop (call $fail (i32.const 0x140 (;e_bool;))))
    (i32.const -1))

  ;; [23, 2323, ...]: sets each port's bit.
  (func $ports (result i32) (local $port i32)
    (if (i32.eqz (call $take (i32.const 0x5b))) (then (return (call $fail (i32.const 0x0e0 (;e_array;))))))
    (if (call $take (i32.const 0x5d)) (then (return (i32.const 1))))
    (loop $again
      (local.set $port (call $port_number))
      (if (i32.eqz (local.get $port)) (then (return (call $fail (i32.const 0x100 (;e_port;))))))
      (i32.store8 (call $port_byte (local.get $port))
        (i32.or (i32.load8_u (call $port_byte (local.get $port)))
                (i32.shl (i32.const 1) (i32.and (local.get $port) (i32.const 7)))))
      (br_if $again (call $take (i32.const 0x2c))))
    (if (i32.eqz (call $take (i32.const 0x5d))) (then (return (call $fail (i32.const 0x0e0 (;e_array;))))))
    (i32.const 1))

  (func $port_byte (param $port i32) (result i32)
    (i32.add (i32.const 0x400) (i32.shr_u (local.get $port) (i32.const 3))))

  ;; Digits without a leading 0, 1 to 65535; 0 when it is none. What follows is left to the caller, so that 1.5 and 1e3
  ;; fail where , or ] is expected.
  (func $port_number (result i32) (local $n i32) (local $c i32)
    (call $space)
    (if (i32.eq (call $peek) (i32.const 0x30)) (then (return (i32.const 0))))
    (loop $again
      (local.set $c (i32.sub (call $peek) (i32.const 0x30)))
      (if (i32.lt_u (local.get $c) (i32.const 10)) (then
        (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 10)) (local.get $c)))
        (if (i32.gt_u (local.get $n) (i32.const 65535)) (then (return (i32.const 0))))
        (call $advance)
        (br $again))))
    (local.get $n))

  ;; ["cmd.exe", ...]: fills the slots and marks the first bytes.
  (func $signature_list (result i32) (local $slot i32) (local $c i32)
    (if (i32.eqz (call $take (i32.const 0x5b))) (then (return (call $fail (i32.const 0x0e0 (;e_array;))))))
    (if (call $take (i32.const 0x5d)) (then (return (i32.const 1))))
    (loop $next
      (if (i32.eqz (call $take (i32.const 0x22))) (then (return (call $fail (i32.const 0x180 (;e_string;))))))
      (if (i32.eq (global.get $signatures) (i32.const 16)) (then (return (call $fail (i32.const 0x1c0 (;e_many;))))))
      (local.set $slot (call $slot (global.get $signatures)))
      (i32.store8 (local.get $slot) (i32.const 0))
      (loop $byte
        (local.set $c (call $string_byte))
        (if (i32.eq (local.get $c) (i32.const -2)) (then (return (i32.const 0))))
        (if (i32.ne (local.get $c) (i32.const -1)) (then
          (if (i32.eq (i32.load8_u (local.get $slot)) (i32.const 63)) (then (return (call $fail (i32.const 0x180 (;e_string;))))))
          (i32.store8 (local.get $slot) (i32.add (i32.load8_u (local.get $slot)) (i32.const 1)))
          (i32.store8 (i32.add (local.get $slot) (i32.load8_u (local.get $slot))) (local.get $c))
          (br $byte))))
      (if (i32.eqz (i32.load8_u (local.get $slot))) (then (return (call $fail (i32.const 0x180 (;e_string;))))))
      (i32.store8 (i32.add (i32.const 0x2800) (i32.load8_u offset=1 (local.get $slot))) (i32.const 1))
      (global.set $signatures (i32.add (global.get $signatures) (i32.const 1)))
      (br_if $next (call $take (i32.const 0x2c))))
    (if (i32.eqz (call $take (i32.const 0x5d))) (then (return (call $fail (i32.const 0x0e0 (;e_array;))))))
    (i32.const 1))

  (func $slot (param $i i32) (result i32)
    (i32.add (i32.const 0x2400) (i32.shl (local.get $i) (i32.const 6))))

  ;; The next byte of a string with its escapes resolved; -1 at the closing quote, -2 after $fail.
  (func $string_byte (result i32) (local $c i32)
    (local.set $c (call $peek))
    ;; Control characters, and the end of the text (-1), are below 0x20 as signed numbers.
    (if (i32.lt_s (local.get $c) (i32.const 0x20)) (then (drop (call $fail (i32.const 0x180 (;e_string;)))) (return (i32.const -2))))
    (call $advance)
    (if (i32.eq (local.get $c) (i32.const 0x22)) (then (return (i32.const -1))))
    (if (i32.ne (local.get $c) (i32.const 0x5c)) (then (return (local.get $c))))
    (local.set $c (call $peek))
    (call $advance)
    (if (i32.or (i32.eq (local.get $c) (i32.const 0x22))
                (i32.or (i32.eq (local.get $c) (i32.const 0x5c)) (i32.eq (local.get $c) (i32.const 0x2f))))
      (then (return (local.get $c))))
    ;; u00XX stands for the byte XX, which is how a signature holds bytes that are no text.
    (if (i32.and (i32.eq (local.get $c) (i32.const 0x75))
                 (i32.le_u (i32.add (global.get $at) (i32.const 4)) (global.get $end)))
      (then
        (local.set $c (i32.or (i32.shl (call $hex_digit) (i32.const 12)) (i32.shl (call $hex_digit) (i32.const 8))))
        (local.set $c (i32.or (local.get $c)
          (i32.or (i32.shl (call $hex_digit) (i32.const 4)) (call $hex_digit))))
        (if (i32.le_u (local.get $c) (i32.const 0xff)) (then (return (local.get $c))))))
    (drop (call $fail (i32.const 0x1e0 (;e_escape;))))
    (i32.const -2))

  ;; Take a hexadecimal digit; -1 when it is none, which makes any number that it becomes part of larger than 0xff.
  (func $hex_digit (result i32) (local $c i32)
    (local.set $c (call $peek))
    (call $advance)
    (if (i32.lt_u (i32.sub (local.get $c) (i32.const 0x30)) (i32.const 10))
      (then (return (i32.sub (local.get $c) (i32.const 0x30)))))
    (local.set $c (i32.or (local.get $c) (i32.const 0x20)))
    (if (i32.lt_u (i32.sub (local.get $c) (i32.const 0x61)) (i32.const 6))
      (then (return (i32.sub (local.get $c) (i32.const 0x57)))))
    (i32.const -1))

  ;; ---- inspection ----

  ;; Descriptors are 64 bytes. Offsets used: frame 8, l4 18, payload 20, payload_len 22, dst_port 28, protocol 30,
  ;; tcp_flags 31, flags 32 (bit 1: later fragment), verdict 44.
  (func (export "sxf_inspect") (param $batch i32) (param $n i32) (result i32) (local $i i32) (local $found i32)
    (loop $again
      (if (i32.lt_u (local.get $i) (local.get $n)) (then
        (local.set $found (call $packet (local.get $batch)))
        (if (local.get $found) (then
          (i32.store offset=44 (local.get $batch) (i32.const 1))
          (call $report (local.get $i) (local.get $found))))
        (local.set $batch (i32.add (local.get $batch) (i32.const 64)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again))))
    (i32.const 0))

  ;; Number of the alert that the packet deserves, 0 for none.
  (func $packet (param $p i32) (result i32) (local $port i32)
    (local.set $port (i32.load16_u offset=28 (local.get $p)))
    (if (i32.and (i32.load8_u (call $port_byte (local.get $port)))
                 (i32.shl (i32.const 1) (i32.and (local.get $port) (i32.const 7))))
      (then (return (i32.const 1))))
    (if (call $has_tcp_header (local.get $p)) (then
      (if (i32.and (global.get $null) (i32.eqz (i32.load8_u offset=31 (local.get $p))))
        (then (return (i32.const 2))))
      (if (i32.and (global.get $xmas)
            (i32.eq (i32.and (i32.load8_u offset=31 (local.get $p)) (i32.const 0x29)) (i32.const 0x29)))
        (then (return (i32.const 3))))
      (if (i32.and (global.get $syn_fin)
            (i32.eq (i32.and (i32.load8_u offset=31 (local.get $p)) (i32.const 3)) (i32.const 3)))
        (then (return (i32.const 4))))))
    (if (result i32) (global.get $signatures)
      (then (call $search
        (i32.add (i32.load offset=8 (local.get $p)) (i32.load16_u offset=20 (local.get $p)))
        (i32.load16_u offset=22 (local.get $p))))
      (else (i32.const 0))))

  ;; A packet that ends inside its TCP header has no flags either, and is no NULL scan.
  (func $has_tcp_header (param $p i32) (result i32)
    (i32.and
      (i32.and (i32.eq (i32.load8_u offset=30 (local.get $p)) (i32.const 6))
               (i32.eqz (i32.and (i32.load offset=32 (local.get $p)) (i32.const 2))))
      (i32.ge_s (i32.sub (i32.load16_u offset=20 (local.get $p)) (i32.load16_u offset=18 (local.get $p)))
                (i32.const 20))))

  ;; 100 and the index of the first signature that occurs in the $n bytes at $p, which are in the window; 0 for none.
  (func $search (param $p i32) (param $n i32) (result i32) (local $i i32)
    (loop $byte
      (if (local.get $n) (then
        (if (i32.load8_u (i32.add (i32.const 0x2800) (i32.load8_u (local.get $p)))) (then
          (local.set $i (i32.const 0))
          (loop $each
            (if (call $begins (local.get $p) (local.get $n) (call $slot (local.get $i)))
              (then (return (i32.add (i32.const 100) (local.get $i)))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $each (i32.lt_u (local.get $i) (global.get $signatures))))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $byte))))
    (i32.const 0))

  ;; Whether the $n bytes at $p begin with the signature in $slot.
  (func $begins (param $p i32) (param $n i32) (param $slot i32) (result i32)
    (if (i32.gt_u (i32.load8_u (local.get $slot)) (local.get $n)) (then (return (i32.const 0))))
    (call $is (local.get $p) (i32.load8_u (local.get $slot)) (local.get $slot)))

  (func $report (param $packet i32) (param $found i32) (local $text i32)
    (local.set $text (i32.const 0x2e0 (;a_signature;)))
    (if (i32.eq (local.get $found) (i32.const 1)) (then (local.set $text (i32.const 0x240 (;a_port;)))))
    (if (i32.eq (local.get $found) (i32.const 2)) (then (local.set $text (i32.const 0x260 (;a_null;)))))
    (if (i32.eq (local.get $found) (i32.const 3)) (then (local.set $text (i32.const 0x290 (;a_xmas;)))))
    (if (i32.eq (local.get $found) (i32.const 4)) (then (local.set $text (i32.const 0x2c0 (;a_syn_fin;)))))
    ;; A signature in a payload is severity 1, the rest 2.
    (call $alert (local.get $packet)
      (select (i32.const 1) (i32.const 2) (i32.ge_u (local.get $found) (i32.const 100)))
      (local.get $found)
      (i32.add (local.get $text) (i32.const 1)) (i32.load8_u (local.get $text)))))
