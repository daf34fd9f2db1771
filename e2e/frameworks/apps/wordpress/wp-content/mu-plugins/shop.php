<?php
/* Plugin Name: A shop as plugins are: its forms go to admin-post.php and admin-ajax.php */

add_shortcode('tea_shop', function () {
    $post = esc_url(admin_url('admin-post.php'));
    $ajax = esc_url(admin_url('admin-ajax.php'));
    ob_start(); ?>
    <form action="<?= $post ?>" method="post" id="sign-up">
        <input type="hidden" name="action" value="tea_sign_up">
        <input name="login"><input name="email"><input name="password" type="password"><input name="first"><input name="last">
        <button>Sign up</button>
    </form>
    <form action="<?= $post ?>" method="post" id="order">
        <input type="hidden" name="action" value="order">
        <button>Order</button>
    </form>
    <form id="newsletter">
        <button>Join</button>
    </form>
    <a id="log-out" href="<?= esc_url(wp_logout_url(home_url('/'))) ?>">Log out</a>
    <script>
    document.getElementById('newsletter').addEventListener('submit', async (e) => {
        e.preventDefault();
        const answer = await fetch('<?= $ajax ?>', { method: 'POST', body: new URLSearchParams({ action: 'tea_newsletter' }) });
        e.target.insertAdjacentHTML('beforeend', `<output>${(await answer.json()).data}</output>`);
    });
    </script>
    <?php
    return ob_get_clean();
});

$for_all = function (string $action, callable $do) {
    add_action("admin_post_$action", $do);
    add_action("admin_post_nopriv_$action", $do);
    add_action("wp_ajax_$action", $do);
    add_action("wp_ajax_nopriv_$action", $do);
};

$for_all('tea_sign_up', function () {
    $p = wp_unslash($_POST);
    $id = wp_insert_user([
        'user_login' => $p['login'], 'user_email' => $p['email'], 'user_pass' => $p['password'],
        'first_name' => $p['first'], 'last_name' => $p['last'], 'display_name' => $p['login'],
    ]);
    if (is_wp_error($id)) {
        wp_die($id);
    }
    wp_set_auth_cookie($id);
    wp_safe_redirect(home_url('/'));
    exit;
});

add_action('admin_post_nopriv_order', 'shop_order');
add_action('admin_post_order', 'shop_order');

function shop_order(): void
{
    intilery_track('Order Completed', ['total' => 38, 'currency' => 'GBP']);
    intilery_track('Coupon Used', ['code' => 'TEA10']);
    wp_safe_redirect(home_url('/thank-you/'));
    exit;
}

$for_all('tea_newsletter', function () {
    intilery_track('Newsletter Joined');
    wp_send_json_success('Thank you');
});

// A script that moves the focus while the test types is no part of it.
add_filter('enable_login_autofocus', '__return_false');

// Mail is kept in a file, where the test reads it as a person would.
add_filter('pre_wp_mail', function ($null, $mail) {
    file_put_contents(dirname(ABSPATH) . '/mail.txt', $mail['message'], FILE_APPEND);
    return true;
}, 10, 2);
