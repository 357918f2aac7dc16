;; my_module: drops TCP to port 23, and tells of it. The daemon loads this text as it is.
(module
  (import "sxf" "alert" (func $alert (param i32 i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "telnet")
  (global $next (mut i32) (i32.const 1024))

  (func (export "sxf_abi_version") (result i32) (i32.const 1))

  ;; Blocks one behind the other, in the one page that there is: grow the memory for long configurations.
  (func (export "sxf_alloc") (param $len i32) (result i32) (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next
      (i32.and (i32.add (i32.add (local.get $at) (local.get $len)) (i32.const 15)) (i32.const -16)))
    (if (i32.gt_u (global.get $next) (i32.const 65536)) (then (return (i32.const 0))))
    (local.get $at))

  (func (export "sxf_init") (param $config i32) (param $len i32) (result i32) (i32.const 0))

  ;; $packet runs over n descriptors of 64 bytes.
  (func (export "sxf_inspect") (param $packet i32) (param $n i32) (result i32) (local $i i32)
    (loop $each
      (if (i32.and
            (i32.eq (i32.load8_u offset=30 (local.get $packet)) (i32.const 6))      ;; protocol: TCP
            (i32.eq (i32.load16_u offset=28 (local.get $packet)) (i32.const 23)))   ;; dst_port
        (then
          (call $alert (local.get $i) (i32.const 2) (i32.const 1) (i32.const 16) (i32.const 6))
          (i32.store offset=44 (local.get $packet) (i32.const 1))))                 ;; verdict: drop
      (local.set $packet (i32.add (local.get $packet) (i32.const 64)))
      (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (i32.const 0)))
