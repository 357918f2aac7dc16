//! The socket in the file system: whose it is, and what may lie in its place.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_for_root_and_its_group_and_goes_with_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/s.sock");
    let lock = Lock::take(&path, "socket").unwrap();
    let (socket, _listener) = ControlSocket::bind(&path, Some("root")).unwrap();
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.permissions().mode() & 0o777, found.gid()), (0o660, 0));
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o755);
    drop((socket, lock));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    let error = ControlSocket::bind(&path, Some("no-such-group")).unwrap_err().to_string();
    assert!(error.contains("socket.group") && error.contains("no-such-group"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_daemon_s_socket_is_replaced_and_a_live_one_s_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind, as by a daemon that was killed");
    fs::write(dir.path().join("s.sock.lock"), "99999\n").unwrap();
    let lock = Lock::take(&path, "socket").unwrap();
    let (_socket, _listener) = ControlSocket::bind(&path, None).unwrap();

    let error = Lock::take(&path, "socket").unwrap_err().to_string();
    assert!(error.contains("s.sock is in use") && error.contains(&std::process::id().to_string()), "{error}");
    let error = ControlSocket::bind(&path, None).unwrap_err().to_string();
    assert!(error.contains("in use"), "{error}");
    assert!(path.exists());
    drop(lock);
    drop(Lock::take(&path, "socket").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sock");
    fs::write(&path, "precious").unwrap();
    let error = ControlSocket::bind(&path, None).unwrap_err();
    assert!(matches!(error, SocketError::NoSocket(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}
