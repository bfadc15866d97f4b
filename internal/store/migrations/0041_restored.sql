alter table manifests add column restored_at bigint; -- microseconds: when it came back from the trash
