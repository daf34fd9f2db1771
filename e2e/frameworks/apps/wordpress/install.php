<?php
// Makes the site: an administrator, a front page with the shop's forms, and a post to comment on.
$_SERVER['HTTP_HOST'] = 'blog.example.com'; // the site has an address of its own
define('WP_INSTALLING', true);
require __DIR__ . '/wordpress/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Tea shop', 'admin', 'admin@example.com', true, '', 'admin-password');
update_option('siteurl', 'http://blog.example.com');
update_option('home', 'http://blog.example.com');
update_option('permalink_structure', '/%postname%/');
update_option('users_can_register', 1);
update_option('show_avatars', 0);
update_option('comment_moderation', 0);
update_option('comment_previously_approved', 0);
switch_theme('twentytwentythree');
$front = wp_insert_post(['post_type' => 'page', 'post_status' => 'publish', 'post_title' => 'Home', 'post_name' => 'home', 'post_content' => '[tea_shop]']);
wp_insert_post(['post_type' => 'page', 'post_status' => 'publish', 'post_title' => 'Café "Zoë" & tea', 'post_name' => 'about', 'post_content' => 'Hello.']);
wp_insert_post(['post_type' => 'page', 'post_status' => 'publish', 'post_title' => '', 'post_name' => 'untitled', 'post_content' => 'Hello.']);
update_option('show_on_front', 'page');
update_option('page_on_front', $front);
